//! Latency by size, drawn with characters. The widget draws into memory: no terminal takes part.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::symbols::Marker;
use ratatui_core::widgets::Widget;
use ratatui_widgets::chart::{Axis, Chart, Dataset, GraphType};

use glowplug_core::format_ms;

use crate::tune::document::TuneTier;

/// Lines of the drawing, axes included.
const HEIGHT: u16 = 12;
/// Wider is no clearer.
const WIDEST: u16 = 78;

/// Cold (line) and warm (dots) p50 by size, each size as far from the next; nothing where fewer than two were measured.
pub(super) fn chart(tiers: &[TuneTier], width: usize) -> String {
    let shown: Vec<&TuneTier> =
        tiers.iter().filter(|tier| tier.cold_ms.is_some() && tier.warm_ms.is_some()).collect();
    if shown.len() < 2 {
        return String::new();
    }
    let points = |value: &dyn Fn(&TuneTier) -> Option<f64>| -> Vec<(f64, f64)> {
        shown.iter().enumerate().filter_map(|(place, tier)| Some((place as f64, value(tier)?))).collect()
    };
    let cold = points(&|tier| tier.cold_ms.map(|times| times.p50));
    let warm = points(&|tier| tier.warm_ms.map(|times| times.p50));
    let top = cold.iter().chain(&warm).map(|(_, ms)| *ms).fold(0.0_f64, f64::max) * 1.05;
    let sizes: Vec<String> = shown.iter().map(|tier| tier.memory_mb.to_string()).collect();
    let datasets = vec![
        Dataset::default().marker(Marker::Braille).graph_type(GraphType::Line).data(&cold),
        Dataset::default().marker(Marker::Dot).graph_type(GraphType::Scatter).data(&warm),
    ];
    let last = (shown.len() - 1) as f64;
    let heights = [0.0, top / 2.0, top].map(format_ms);
    let widget = Chart::new(datasets)
        .x_axis(Axis::default().bounds([0.0, last]).labels(sizes))
        .y_axis(Axis::default().bounds([0.0, top]).labels(heights))
        .legend_position(None);
    let area = Rect::new(0, 0, (width.min(usize::from(WIDEST))) as u16, HEIGHT);
    let mut buffer = Buffer::empty(area);
    widget.render(area, &mut buffer);
    let mut text = String::new();
    for row in area.top()..area.bottom() {
        let line: String = (area.left()..area.right()).map(|column| buffer[(column, row)].symbol()).collect();
        text += line.trim_end();
        text.push('\n');
    }
    text
}
