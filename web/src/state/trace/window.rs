//! Which part of a trace's time is looked at? A window that is panned and zoomed.
//!
//! W1  A window lies within 0 and 1 and never shrinks to nothing.

use super::super::number;

/// Part of a trace's duration: 0 is its start, 1 its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Left edge.
    pub start: f64,
    /// Right edge.
    pub end: f64,
}

/// The narrowest window: a ten-millionth of the trace.
const NARROWEST: f64 = 1e-7;

impl Default for Window {
    fn default() -> Self {
        Window { start: 0.0, end: 1.0 }
    }
}

impl Window {
    /// A window between two edges in any order.
    pub fn between(a: f64, b: f64) -> Window {
        let (mut start, mut end) = (a.min(b).clamp(0.0, 1.0), a.max(b).clamp(0.0, 1.0));
        if !(start.is_finite() && end.is_finite()) {
            return Window::default();
        }
        if end - start < NARROWEST {
            start = start.min(1.0 - NARROWEST);
            end = start + NARROWEST;
        }
        Window { start, end }
    }

    /// One that shows what lies between two points, with a tenth of it on both sides; around what takes no time, a thousandth of the trace.
    pub fn around(start: f64, end: f64) -> Window {
        let beside = if end > start { (end - start) * 0.1 } else { 0.0005 };
        Window::between(start - beside, end + beside)
    }

    /// Its width.
    pub fn width(self) -> f64 {
        self.end - self.start
    }

    /// Whether it shows everything.
    pub fn is_whole(self) -> bool {
        self == Window::default()
    }

    /// Moves it by a share of its width.
    pub fn pan(self, share: f64) -> Window {
        let width = self.width();
        let start = (self.start + share * width).clamp(0.0, 1.0 - width);
        Window::between(start, start + width)
    }

    /// Widens it (factor above 1) or narrows it around a point of the trace.
    pub fn zoom(self, factor: f64, around: f64) -> Window {
        let around = around.clamp(self.start, self.end);
        let width = (self.width() * factor).clamp(NARROWEST, 1.0);
        let share = (around - self.start) / self.width();
        let start = (around - share * width).clamp(0.0, 1.0 - width);
        Window::between(start, start + width)
    }

    /// Where in the window a point of the trace is: 0 left edge, 1 right edge; beyond them when outside.
    pub fn position(self, point: f64) -> f64 {
        (point - self.start) / self.width()
    }

    /// The point of the trace at a place in the window.
    pub fn point(self, position: f64) -> f64 {
        self.start + position * self.width()
    }

    /// Reads `0.1-0.25` from the URL.
    pub fn parse(text: &str) -> Option<Window> {
        let (start, end) = text.split_once('-')?;
        let (start, end) = (number::read(start)?, number::read(end)?);
        (start.is_finite() && end.is_finite()).then(|| Window::between(start, end))
    }

    /// Writes it for the URL; nothing when it shows everything.
    pub fn write(self) -> Option<String> {
        (!self.is_whole()).then(|| format!("{:.7}-{:.7}", self.start, self.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_point_under_the_pointer_stays_when_zooming() {
        let window = Window::default().zoom(0.5, 0.25);
        assert!((window.position(0.25) - 0.25).abs() < 1e-9);
        assert_eq!(Window::parse("0.5-0.25"), Some(Window { start: 0.25, end: 0.5 }));
        assert_eq!(Window::default().write(), None);
        assert_eq!(Window::parse("NaN-1"), None);
    }

    #[test]
    fn a_span_is_shown_with_some_room_around_it() {
        let near = |window: Window, start: f64, end: f64| {
            assert!((window.start - start).abs() < 1e-9 && (window.end - end).abs() < 1e-9, "{window:?}");
        };
        near(Window::around(0.4, 0.6), 0.38, 0.62);
        near(Window::around(0.0, 1.0), 0.0, 1.0);
        near(Window::around(0.5, 0.5), 0.4995, 0.5005);
    }

    proptest! {
        #[test]
        fn no_move_leaves_the_trace(moves in proptest::collection::vec((0.01f64..4.0, -3.0f64..3.0, 0.0f64..1.0), 0..30)) {
            let mut window = Window::default();
            for (factor, share, around) in moves {
                window = window.zoom(factor, around).pan(share);
                prop_assert!(window.start >= 0.0 && window.end <= 1.0 && window.width() >= NARROWEST * 0.99);
            }
        }
    }
}
