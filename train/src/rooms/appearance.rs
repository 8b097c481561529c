//! A room and two strengths in, its look out: a pattern for every surface, and the light.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::layout::Room;
use super::light::Light;
use super::texture::{Ground, Texture};

/// Keeps the numbers of patterns apart from those of other uses of a seed.
const TEXTURE_STREAM: u64 = 0x7E_C7_0E;
/// Reflectivity is that of the colour's levels to this power, about as sRGB has it.
const GAMMA: f32 = 2.2;
/// Shares of red, green and blue in brightness (ITU-R BT.709).
const LUMINANCE: [f32; 3] = [0.2126, 0.7152, 0.0722];

/// How much rooms differ in how they look, beyond the colours of their things. Everything follows from the room's seed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Appearance {
    /// Strength of patterns on walls, floor and objects: 0 for none, to 1.
    pub textures: f64,
    /// How much the light's direction, strength and colour and the exposure vary: 0 for one light in all rooms, to 1.
    pub lighting: f64,
}

impl Appearance {
    /// Flat colours in one light.
    pub const PLAIN: Self = Self { textures: 0.0, lighting: 0.0 };
}

impl Default for Appearance {
    fn default() -> Self {
        Self { textures: 0.5, lighting: 0.5 }
    }
}

/// A strength as it is used: what is no number is none.
fn strength(x: f64) -> f64 {
    if x.is_nan() { 0.0 } else { x.clamp(0.0, 1.0) }
}

/// What the surfaces of one room look like.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Look {
    /// In the room's coordinates; also that of the ceiling.
    pub(super) wall: Texture,
    /// In the room's coordinates.
    pub(super) floor: Texture,
    /// Of each part of each object, in the part's coordinates.
    pub(super) parts: Vec<Vec<Texture>>,
    /// Before exposure.
    pub(super) light: Light,
}

impl Look {
    /// The look of `room`.
    pub(super) fn new(room: &Room, appearance: Appearance) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(room.seed ^ TEXTURE_STREAM);
        let textures = strength(appearance.textures);
        let wall = Texture::random(Ground::Wall, textures, &mut rng);
        let floor = Texture::random(Ground::Floor, textures, &mut rng);
        let parts = room
            .objects
            .iter()
            .map(|object| {
                // things get numbers of their own, so that one more part changes no other thing
                let mut rng = ChaCha8Rng::seed_from_u64(rng.random());
                let cloth = Texture::random(Ground::Object, textures, &mut rng);
                object.parts.iter().map(|part| cloth.on(part.shape, part.rgb, &mut rng)).collect()
            })
            .collect();
        Self { wall, floor, parts, light: Light::of_room(room.seed, strength(appearance.lighting)) }
    }
}

/// Share of light that a surface of this colour throws back, 0 to 1.
pub(super) fn reflectivity(rgb: [u8; 3]) -> f32 {
    rgb.iter().zip(LUMINANCE).map(|(c, share)| share * (f32::from(*c) / 255.0).powf(GAMMA)).sum()
}

/// Brightness of a pixel, levels.
pub(super) fn luma(rgb: [u8; 3]) -> f32 {
    rgb.iter().zip(LUMINANCE).map(|(c, share)| share * f32::from(*c)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::camera::{Shown, render};
    use crate::rooms::config::Difficulty;
    use crate::rooms::layout::{RoomConfig, generate};
    use crate::rooms::record::{RecordConfig, record};
    use nalgebra::Vector3;
    use vantage_calibration::RayTable;

    #[test]
    fn looks_repeat_and_follow_their_strengths() {
        let room = generate(4, &RoomConfig::default());
        assert_eq!(Look::new(&room, Appearance::default()), Look::new(&room, Appearance::default()));
        assert_ne!(
            Look::new(&room, Appearance::default()),
            Look::new(&generate(5, &RoomConfig::default()), Appearance::default())
        );
        let of = |textures, lighting| Look::new(&room, Appearance { textures, lighting });
        assert_eq!(of(f64::NAN, f64::INFINITY), of(0.0, 1.0));
        assert_eq!(of(-1.0, 0.3).floor, of(0.0, 0.3).floor);
    }

    #[test]
    fn without_patterns_and_with_the_plain_light_colours_are_flat() {
        // the light falls from (0.35, 0.25, 0.9) at a share of 0.38, and 0.62 of it reaches everything
        let shade = |rgb: [u8; 3], normal: Vector3<f64>| {
            let facing = normal.dot(&Vector3::new(0.35, 0.25, 0.9).normalize()).max(0.0);
            rgb.map(|c| (f64::from(c) * (0.62 + 0.38 * facing)).round() as u8)
        };
        for seed in [2, 9] {
            let room = generate(seed, &RoomConfig::default());
            let look = Look::new(&room, Appearance::PLAIN);
            for (object, textures) in room.objects.iter().zip(&look.parts) {
                for (part, texture) in object.parts.iter().zip(textures) {
                    for normal in [Vector3::x(), -Vector3::y(), Vector3::z()] {
                        let rgb = texture.color(part.rgb.map(f32::from), [0.1, 0.2, 0.03], 0.001);
                        assert_eq!(look.light.exposed(3).shade(rgb, normal), shade(part.rgb, normal));
                    }
                }
            }
        }
    }

    #[test]
    fn patterns_leave_the_depth_and_the_mean_colour_of_things() {
        let (mut objects, mut changed) = (0, 0);
        for seed in 0..25 {
            let room = generate(seed, &RoomConfig::of(Difficulty::Easy));
            let poses = record(&room, &RecordConfig { frames: 6, ..RecordConfig::default() });
            let looks = [0.0, 1.0].map(|textures| Look::new(&room, Appearance { textures, lighting: 0.0 }));
            let mut sums = vec![[[0.0f64; 3]; 2]; room.objects.len()];
            let mut pixels = vec![0u32; room.objects.len()];
            for frame in &poses.frames {
                let rays = RayTable::new(&frame.camera);
                let [plain, patterned] = looks.each_ref().map(|look| {
                    render(&room, Shown { look, light: look.light }, &frame.camera, &rays, &frame.world_from_camera)
                });
                assert_eq!((&plain.depth, &plain.object), (&patterned.depth, &patterned.object));
                for (i, object) in plain.object.iter().enumerate() {
                    changed += u32::from(plain.color[i] != patterned.color[i]);
                    let Ok(object) = usize::try_from(*object) else { continue };
                    pixels[object] += 1;
                    for (sum, seen) in sums[object].iter_mut().zip([&plain, &patterned]) {
                        (0..3).for_each(|k| sum[k] += f64::from(seen.color[i][k]));
                    }
                }
            }
            for (object, (sums, pixels)) in
                room.objects.iter().zip(sums.iter().zip(pixels)).filter(|(_, (_, n))| *n > 500)
            {
                objects += 1;
                for (plain, patterned) in sums[0].iter().zip(sums[1]) {
                    let difference = (patterned - plain) / f64::from(pixels);
                    assert!(difference.abs() < 3.0, "room {seed}, {}: {difference} levels", object.class);
                }
            }
        }
        assert!(objects > 60 && changed > 500_000, "{objects} objects, {changed} pixels");
    }
}
