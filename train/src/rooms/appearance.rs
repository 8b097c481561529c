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
