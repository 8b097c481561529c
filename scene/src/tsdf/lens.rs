//! Frames in, pictures of a pinhole camera out: what a bent lens saw is straightened once a frame, so that the voxel loop need
//! not know of lenses.

use vantage_calibration::{DepthRectifier, PinholeCamera};

use crate::frame::RgbdFrame;

/// Depth and colour as a pinhole camera sees them; colour shows the same view, its size may differ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Picture<'a> {
    pub(super) camera: PinholeCamera,
    /// Metres, row-major.
    pub(super) depth: &'a [f32],
    /// rgb8, row-major.
    pub(super) color: &'a [u8],
    pub(super) color_width: usize,
    pub(super) color_height: usize,
}

/// Straightens frames; tables and buffers are kept for the next frame.
#[derive(Debug, Clone, Default)]
pub(super) struct Lens {
    tables: Option<Tables>,
    depth: Vec<f32>,
    color: Vec<[u8; 3]>,
}

/// How to straighten the frames of one camera.
#[derive(Debug, Clone)]
struct Tables {
    camera: PinholeCamera,
    color_size: (u32, u32),
    depth: DepthRectifier,
    color: DepthRectifier,
}

impl Lens {
    /// The frame's depth and colour without lens distortion.
    pub(super) fn straightened<'a>(&'a mut self, frame: &'a RgbdFrame) -> Picture<'a> {
        let (depth, color) = (&*frame.depth, &*frame.color);
        if frame.camera.distortion.is_straight() {
            return Picture {
                camera: frame.camera,
                depth: &depth.data,
                color: &color.data,
                color_width: color.width as usize,
                color_height: color.height as usize,
            };
        }
        let color_size = (color.width, color.height);
        self.tables.take_if(|tables| tables.camera != frame.camera || tables.color_size != color_size);
        let tables = self.tables.get_or_insert_with(|| {
            let depth = DepthRectifier::new(&frame.camera);
            let color = DepthRectifier::onto(&frame.camera.scaled(color.width, color.height), depth.camera());
            Tables { camera: frame.camera, color_size, depth, color }
        });
        let camera = *tables.depth.camera();
        let pixels = camera.width as usize * camera.height as usize;
        self.depth.resize(pixels, 0.0);
        self.color.resize(pixels, [0; 3]);
        tables.depth.rectify(&depth.data, &mut self.depth, 0.0);
        tables.color.rectify(color.data.as_chunks::<3>().0, &mut self.color, [0; 3]);
        Picture {
            camera,
            depth: &self.depth,
            color: self.color.as_flattened(),
            color_width: camera.width as usize,
            color_height: camera.height as usize,
        }
    }
}
