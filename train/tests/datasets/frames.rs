//! Frames of `.sens` files and of ARKitScenes, their bytes written here by the published layouts.

use std::fs;
use std::io::{Cursor, Write};

use image::{ImageBuffer, ImageFormat, Luma, Rgb};
use nalgebra::{Isometry3, Point3, Vector3};
use vantage_train::data::loaders::Findings;
use vantage_train::data::loaders::arkit::ArkitFrames;
use vantage_train::data::loaders::scannet::{SensCheck, SensFault, SensReader};

use super::{copied, texts};

/// Sizes of the pictures: depth is half as large, as with ScanNet's sensor.
const COLOR: [u32; 2] = [16, 12];
const DEPTH: [u32; 2] = [8, 6];
const IDENTITY: [f32; 16] = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0];

fn floats(out: &mut Vec<u8>, all: &[f32]) {
    out.extend(all.iter().flat_map(|x| x.to_le_bytes()));
}

fn intrinsics(fx: f32, fy: f32, cx: f32, cy: f32) -> [f32; 16] {
    [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
}

fn jpeg(rgb: [u8; 3]) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    ImageBuffer::from_pixel(COLOR[0], COLOR[1], Rgb(rgb)).write_to(&mut out, ImageFormat::Jpeg).unwrap();
    out.into_inner()
}

fn zlib(values: &[u16]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    encoder.finish().unwrap()
}

/// A file of three frames: the first two metres away, the second without a pose, the third of depth that depends on the pixel.
pub(crate) fn sens() -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(4u32.to_le_bytes());
    out.extend(15u64.to_le_bytes());
    out.extend(b"StructureSensor");
    // a colour pixel covers half of a depth pixel: (8 + 0.5) / 2 - 0.5 = 3.75
    floats(&mut out, &intrinsics(16.0, 16.0, 8.0, 6.0));
    floats(&mut out, &IDENTITY);
    floats(&mut out, &intrinsics(8.0, 8.0, 3.75, 2.75));
    floats(&mut out, &IDENTITY);
    out.extend(2i32.to_le_bytes());
    out.extend(1i32.to_le_bytes());
    for side in COLOR.into_iter().chain(DEPTH) {
        out.extend(side.to_le_bytes());
    }
    floats(&mut out, &[1000.0]);
    out.extend(3u64.to_le_bytes());
    let pixels = (DEPTH[0] * DEPTH[1]) as usize;
    let ramp: Vec<u16> = (0..pixels as u16).map(|i| if i == 5 { 0 } else { 1500 + i }).collect();
    let mut moved = IDENTITY;
    (moved[3], moved[7], moved[11]) = (1.0, 2.0, 3.0);
    let lost = [f32::NEG_INFINITY; 16];
    for (pose, depth, stamp) in [(moved, vec![2000; pixels], 7u64), (lost, vec![2000; pixels], 8), (IDENTITY, ramp, 0)]
    {
        let (color, depth) = (jpeg([200, 40, 90]), zlib(&depth));
        floats(&mut out, &pose);
        for n in [stamp, stamp, color.len() as u64, depth.len() as u64] {
            out.extend(n.to_le_bytes());
        }
        out.extend(color);
        out.extend(depth);
    }
    out.extend(0u64.to_le_bytes());
    out
}

fn reader(bytes: &[u8]) -> Result<SensReader<Cursor<&[u8]>>, SensFault> {
    SensReader::new(Cursor::new(bytes), bytes.len() as u64)
}

#[test]
fn frames_of_a_sens_file_are_read_one_by_one() {
    let bytes = sens();
    let mut reader = reader(&bytes).unwrap();
    assert_eq!((reader.header().sensor.as_str(), reader.header().frames), ("StructureSensor", 3));
    let first = reader.next_frame().unwrap().unwrap();
    assert_eq!((first.index, first.depth_stamp_micros), (0, 7));
    assert_eq!((first.color.width, first.color.height, first.depth.width, first.depth.height), (16, 12, 8, 6));
    assert!(first.depth.data.iter().all(|z| *z == 2.0));
    assert!(
        first.color.data.as_chunks::<3>().0.iter().all(|p| p.iter().zip([200, 40, 90]).all(|(a, b)| a.abs_diff(b) < 4))
    );
    let turn = Isometry3::rotation(Vector3::z() * std::f64::consts::FRAC_PI_2);
    let frame = reader.rgbd(&first, &turn).unwrap();
    frame.check().unwrap();
    assert_eq!((frame.stamp, frame.camera.width, frame.camera.cx, frame.camera.cy), (7_000, 8, 3.75, 2.75));
    let origin = frame.world_from_camera * Point3::origin();
    assert!((origin - Point3::new(-2.0, 1.0, 3.0)).norm() < 1.0e-9, "{origin}");
    assert!(frame.depth.data.iter().all(|z| (z - 2.0).abs() < 1.0e-6), "both cameras see the same");
    let lost = reader.next_frame().unwrap().unwrap();
    assert!(lost.raw_from_base.is_none() && reader.rgbd(&lost, &turn).is_none());
    let third = reader.next_frame().unwrap().unwrap();
    assert_eq!((third.depth.data[5], third.depth.data[6]), (0.0, 1.506));
    assert_eq!(reader.rgbd(&third, &turn).unwrap().stamp, 2 * 33_333_333, "without stamps it is numbered");
    assert!(reader.next_frame().unwrap().is_none());
}

#[test]
fn going_through_a_sens_file_decodes_nothing_and_counts_lost_frames() {
    assert_eq!(reader(&sens()).unwrap().check(), Ok(SensCheck { frames: 3, lost: 1 }));
}

/// Where the parts of [`sens`] lie.
const NAME_AT: usize = 4;
const COMPRESSION_AT: usize = 4 + 8 + 15 + 4 * 64;
const SHIFT_AT: usize = COMPRESSION_AT + 8 + 16;
const FRAMES_AT: usize = SHIFT_AT + 4;
const FIRST_AT: usize = FRAMES_AT + 8;
const COLOR_BYTES_AT: usize = FIRST_AT + 64 + 16;

#[test]
fn what_is_wrong_with_a_sens_file_is_told_with_its_frame() {
    let told = |at: usize, bytes: &[u8]| {
        let mut all = sens();
        all[at..at + bytes.len()].copy_from_slice(bytes);
        match reader(&all) {
            Err(fault) => fault,
            Ok(mut reader) => loop {
                match reader.next_frame() {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("nothing was told"),
                    Err(fault) => break fault,
                }
            },
        }
    };
    let has = |at, bytes: &[u8], wanted: &str, frame| {
        let (what, place) = told(at, bytes);
        assert!(what.contains(wanted) && place == frame, "{what} {place:?}");
    };
    has(0, &3u32.to_le_bytes(), "is of version 3, 4 is read", None);
    has(NAME_AT, &u64::MAX.to_le_bytes(), "a sensor's name of 18446744073709551615 bytes", None);
    has(COMPRESSION_AT, &9i32.to_le_bytes(), "colour compression 9", None);
    has(COMPRESSION_AT + 4, &2i32.to_le_bytes(), "depth compression 2", None);
    has(COMPRESSION_AT + 8, &u32::MAX.to_le_bytes(), "bad colour camera", None);
    has(SHIFT_AT, &f32::NAN.to_le_bytes(), "depth shift of NaN", None);
    has(FRAMES_AT, &u64::MAX.to_le_bytes(), "is cut off: the file says 18446744073709551615 frames", Some(3));
    has(COLOR_BYTES_AT, &(1u64 << 40).to_le_bytes(), "a picture of 1099511627776 bytes", Some(0));
    has(COLOR_BYTES_AT, &(1u64 << 26).to_le_bytes(), "is cut off: its pictures have", Some(0));
    has(FIRST_AT, &2.0f32.to_le_bytes(), "a pose that is no rotation", Some(0));
    has(COLOR_BYTES_AT + 16, b"GIF8", "bad colour picture", Some(0));
    has(COMPRESSION_AT + 16, &7u32.to_le_bytes(), "more than 84 bytes of depth, 7x6 pixels need 84", Some(0));
    let bytes = sens();
    let cut = reader(&bytes[..bytes.len() - 40]).unwrap().check();
    assert!(cut.as_ref().is_err_and(|(what, frame)| what.contains("is cut off") && *frame == Some(2)), "{cut:?}");
}

#[test]
fn after_a_frame_that_cannot_be_decoded_the_next_is_read() {
    let mut bytes = sens();
    bytes[COLOR_BYTES_AT + 16] = 0;
    let mut reader = reader(&bytes).unwrap();
    assert!(reader.next_frame().is_err());
    assert_eq!(reader.next_frame().unwrap().unwrap().index, 1);
    assert_eq!(reader.next_frame().unwrap().unwrap().index, 2);
}

/// Writes the pictures of ARKitScenes' sample: one with companions, one whose pose is 20 ms away.
pub(crate) fn arkit_pictures(dir: &std::path::Path) {
    let frames = dir.join("arkitscenes/3dod/Training/47331606/47331606_frames");
    for (name, stamps) in [("lowres_wide", ["6845.706", "6845.825"]), ("lowres_depth", ["6845.706", "6845.825"])] {
        fs::create_dir_all(frames.join(name)).unwrap();
        for stamp in stamps {
            let path = frames.join(name).join(format!("47331606_{stamp}.png"));
            if name == "lowres_depth" {
                ImageBuffer::from_fn(8, 6, |u, v| Luma([(1000 + 10 * u + v) as u16])).save(path).unwrap();
            } else {
                ImageBuffer::from_pixel(8, 6, Rgb([10u8, 20, 30])).save(path).unwrap();
            }
        }
    }
}

#[test]
fn frames_of_arkitscenes_have_the_pose_and_intrinsics_nearest_to_their_stamp() {
    let dir = copied();
    arkit_pictures(dir.path());
    let mut findings = Findings::new();
    let frames = ArkitFrames::open(&dir.path().join("arkitscenes/3dod/Training/47331606"), &mut findings);
    assert_eq!((frames.len(), frames.is_empty()), (1, false));
    assert_eq!(findings.list().len(), 1, "{:?}", texts(&findings));
    assert!(
        texts(&findings)[0].contains("lowres_depth: holds 1 pictures without intrinsics"),
        "{:?}",
        texts(&findings)
    );
    let frame = frames.frame(0).unwrap().unwrap();
    frame.check().unwrap();
    assert_eq!((frame.stamp, frame.camera.fy, frame.depth.data[9]), (6_845_706_000_000, 7.5, 1.011));
    assert_eq!(frame.color.data[..3], [10, 20, 30]);
    // the camera lies where turn(world) + (1, 2, 3) = 0
    let origin = frame.world_from_camera * Point3::origin();
    assert!((origin - Point3::new(-2.0, 1.0, -3.0)).norm() < 1.0e-9, "{origin}");
    assert!(frames.frame(1).is_none());
}
