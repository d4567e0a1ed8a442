//! Boxes.

/// A box in a picture, in pixels. It may reach beyond the borders.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Area {
    /// The left border.
    pub x: f32,
    /// The upper border.
    pub y: f32,
    /// How wide it is.
    pub width: f32,
    /// How high it is.
    pub height: f32,
}

impl Area {
    /// Pixels in it.
    pub fn pixels(&self) -> f32 {
        self.width.max(0.0) * self.height.max(0.0)
    }

    /// What both have; empty if they are apart.
    #[must_use]
    pub fn shared(&self, other: &Self) -> Self {
        let (x, y) = (self.x.max(other.x), self.y.max(other.y));
        let right = (self.x + self.width).min(other.x + other.width);
        let bottom = (self.y + self.height).min(other.y + other.height);
        Self { x, y, width: (right - x).max(0.0), height: (bottom - y).max(0.0) }
    }

    /// How much of both together is in both, from 0 to 1.
    pub fn overlap(&self, other: &Self) -> f32 {
        let shared = self.shared(other).pixels();
        let all = self.pixels() + other.pixels() - shared;
        if all > 0.0 { shared / all } else { 0.0 }
    }

    /// Sides so many times as long, around the same middle.
    #[must_use]
    pub fn grown(&self, times: f32) -> Self {
        let (width, height) = (self.width * times, self.height * times);
        Self {
            x: self.x - (width - self.width) / 2.0,
            y: self.y - (height - self.height) / 2.0,
            width,
            height,
        }
    }
}
