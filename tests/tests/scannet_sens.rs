//! `.sens` files that a program written apart made by ScanNet's layout in, the pixels and poses that it wrote out.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::ffi::OsStr;

use nalgebra::{Isometry3, Point3, Vector3};
use vantage_tests::{python, root, run_python};
use vantage_train::data::loaders::scannet::{SensCheck, SensReader};

/// Frames written.
const FRAMES: u64 = 7;

#[test]
fn what_python_wrote_is_read() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    for compression in ["raw", "png"] {
        let path = dir.path().join("scene0000_00.sens");
        let frames = FRAMES.to_string();
        let arguments = [path.as_os_str(), OsStr::new(&frames), OsStr::new(compression)];
        run_python(&python, &root().join("tests/python/write_sens.py"), arguments);
        let mut reader = SensReader::open(&path).unwrap();
        assert_eq!((reader.header().sensor.as_str(), reader.header().color_camera.fy), ("written by hand", 22.0));
        for i in 0..FRAMES {
            let frame = reader.next_frame().unwrap().expect("a frame");
            assert_eq!((frame.index, frame.color_stamp_micros, frame.depth_stamp_micros), (i, 1000 * i, 1000 * i + 5));
            for (at, pixel) in frame.color.data.as_chunks::<3>().0.iter().enumerate() {
                let (u, v) = (at as u64 % 20, at as u64 / 20);
                assert_eq!(pixel.map(u64::from), [(u + i) % 256, v, 7 * i % 256], "frame {i}, pixel {u} {v}");
            }
            for (at, depth) in frame.depth.data.iter().enumerate() {
                let (u, v) = (at as u64 % 10, at as u64 / 10);
                let millimetres = if u == v { 0 } else { 1000 + 10 * u + v + i };
                assert_eq!(*depth, millimetres as f32 / 1000.0, "frame {i}, pixel {u} {v}");
            }
            let Some(raw_from_base) = frame.raw_from_base else {
                assert_eq!(i % 3, 1, "frame {i} has a pose");
                continue;
            };
            let turn = Isometry3::new(Vector3::zeros(), Vector3::z() * (i as f64 * std::f64::consts::FRAC_PI_2));
            let shift = Vector3::new(i as f64, 2.0 * i as f64, 3.0 * i as f64);
            let wanted = turn * Point3::new(1.0, 2.0, 3.0) + shift;
            assert!((raw_from_base * Point3::new(1.0, 2.0, 3.0) - wanted).norm() < 1.0e-6, "frame {i}");
        }
        assert!(reader.next_frame().unwrap().is_none());
        let checked = SensReader::open(&path).unwrap().check();
        assert_eq!(checked, Ok(SensCheck { frames: FRAMES, lost: 2 }));
    }
}
