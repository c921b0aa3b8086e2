//! Which parts are pages made of?

pub(crate) mod app;
pub(crate) mod attributes;
pub(crate) mod call_map;
pub(crate) mod canvas;
pub(crate) mod chart;
pub(crate) mod combobox;
pub(crate) mod editor;
pub(crate) mod effect;
pub(crate) mod frame;
pub(crate) mod keys;
pub(crate) mod location;
pub(crate) mod message;
pub(crate) mod palette;
pub(crate) mod plot;
mod plotter;
pub(crate) mod range;
pub(crate) mod sheet;
pub(crate) mod text;
pub(crate) mod virtual_list;
