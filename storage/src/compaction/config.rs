//! How large do blocks become, and how much may that cost?

/// How blocks are merged. With these defaults a row is written at most five times until its block is full: a flush of 8 MiB and
/// less, and a level for each factor of eight up to 256 MiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactionConfig {
    /// So many blocks of a level become one of the next. More of them write a row less often and leave more blocks.
    pub fan_in: usize,
    /// No block is made larger than this; one that has half of it is left alone.
    pub most_bytes: u64,
    /// Likewise. The trace index of a block is built in memory, 16 bytes for each of its traces.
    pub most_rows: u64,
    /// Rows that a merge holds at once, in bytes. Where the blocks overlap so much that more would be needed, the order of
    /// rows gets looser, not the bound.
    pub memory_bytes: usize,
    /// Bytes that merges read and write per second, on average.
    pub bytes_per_second: u64,
}

impl Default for CompactionConfig {
    fn default() -> Self {
        CompactionConfig {
            fan_in: 8,
            most_bytes: 256 << 20,
            most_rows: 8 << 20,
            memory_bytes: 96 << 20,
            bytes_per_second: 32 << 20,
        }
    }
}
