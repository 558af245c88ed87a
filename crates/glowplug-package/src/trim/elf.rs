//! Takes the symbols for debuggers out of a shared library without moving a single loaded byte.
//!
//! Tools that rewrite a library's layout break those that `patchelf` has touched ("ELF load
//! command address/offset not properly aligned"). So nothing moves here: sections that no segment
//! loads are cut off where they lie at the end of the file, and blanked where they lie before
//! something that is loaded (zeros cost the zip nothing). Headers of removed sections become
//! inactive (`SHT_NULL`), so that no section changes its index; the section names and the section
//! table move to the new end. A library that does not fit this picture is left as it is.
//! Layout: System V ABI, chapters 4 and 5; 64-bit little-endian only, as both Lambda machines are.

use std::ops::Range;

use object::LittleEndian;
use object::elf::{self, FileHeader64, ProgramHeader64, SectionHeader64};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};

/// Below this many bytes, a change to a library is not worth its risk.
const LEAST_GAIN: usize = 4096;
/// Offset of `e_shoff` in the file header.
const HEADER_SHOFF: usize = 0x28;
/// Offset of `sh_offset` in a section header.
const SECTION_OFFSET: usize = 0x18;
/// Size of a 64-bit section header.
const SECTION_SIZE: usize = 64;

/// A stripped library.
#[derive(Debug)]
pub(super) struct Stripped {
    pub(super) data: Vec<u8>,
    /// Bytes that became zeros in place.
    pub(super) blanked: u64,
}

/// The parts of a library that matter here, all as ranges of file offsets.
struct Layout {
    segments: Vec<Range<usize>>,
    /// What must stay in place: headers, segments, sections.
    kept: Vec<Range<usize>>,
    /// Sections to remove, with their indexes.
    removed: Vec<(usize, Range<usize>)>,
    names: Range<usize>,
    names_index: usize,
    table: Range<usize>,
}

/// The stripped library, or `None` where there is nothing to gain or any doubt.
pub(super) fn strip(data: &[u8]) -> Option<Stripped> {
    let layout = read(data)?;
    if layout.removed.is_empty() || !is_understood(data, &layout) {
        return None;
    }
    let end = layout.kept.iter().map(|r| r.end).max()?;
    let mut out = data[..end].to_vec();
    let mut blanked = 0;
    for (_, range) in &layout.removed {
        let inside = range.start.min(end)..range.end.min(end);
        blanked += inside.len();
        out[inside].fill(0);
    }
    let names_at = if layout.names.end <= end {
        layout.names.start
    } else {
        out.extend_from_slice(&data[layout.names.clone()]);
        out.len() - layout.names.len()
    };
    let mut table = data[layout.table.clone()].to_vec();
    for (index, _) in &layout.removed {
        table[index * SECTION_SIZE..(index + 1) * SECTION_SIZE].fill(0);
    }
    write_u64(&mut table, layout.names_index * SECTION_SIZE + SECTION_OFFSET, names_at)?;
    let table_at = if layout.table.end <= end {
        layout.table.start
    } else {
        out.resize(out.len().next_multiple_of(8), 0);
        out.resize(out.len() + table.len(), 0);
        out.len() - table.len()
    };
    out.get_mut(table_at..table_at + table.len())?.copy_from_slice(&table);
    write_u64(&mut out, HEADER_SHOFF, table_at)?;

    let gain = data.len().checked_sub(out.len())? + blanked;
    (gain >= LEAST_GAIN && is_same_when_loaded(data, &out, &layout))
        .then_some(Stripped { data: out, blanked: blanked as u64 })
}

/// Bytes of a library that only debuggers read; 0 for what is no such library.
pub fn symbol_bytes(data: &[u8]) -> u64 {
    read(data).map_or(0, |layout| layout.removed.iter().map(|(_, range)| range.len() as u64).sum())
}

fn write_u64(bytes: &mut [u8], at: usize, value: usize) -> Option<()> {
    bytes.get_mut(at..at + 8)?.copy_from_slice(&(value as u64).to_le_bytes());
    Some(())
}

type Header = FileHeader64<LittleEndian>;

fn read(data: &[u8]) -> Option<Layout> {
    let endian = LittleEndian;
    let header = Header::parse(data).ok()?;
    let standard = header.is_little_endian()
        && header.e_type(endian) == elf::ET_DYN
        && usize::from(header.e_shentsize(endian)) == SECTION_SIZE;
    if !standard {
        return None;
    }
    let sections: &[SectionHeader64<LittleEndian>] = header.section_headers(endian, data).ok()?;
    let programs: &[ProgramHeader64<LittleEndian>] = header.program_headers(endian, data).ok()?;
    let names_index = usize::try_from(header.shstrndx(endian, data).ok()?).ok()?;
    let names = header.section_strings(endian, data, sections).ok()?;
    let range = |offset: u64, size: u64| -> Option<Range<usize>> {
        let (start, size) = (usize::try_from(offset).ok()?, usize::try_from(size).ok()?);
        let end = start.checked_add(size)?;
        (end <= data.len()).then_some(start..end)
    };
    let table = range(header.e_shoff(endian), std::mem::size_of_val(sections) as u64)?;
    let program_table = range(header.e_phoff(endian), std::mem::size_of_val(programs) as u64)?;
    let segments =
        programs.iter().map(|p| range(p.p_offset(endian), p.p_filesz(endian))).collect::<Option<Vec<_>>>()?;

    let mut kept = vec![0..size_of::<Header>(), program_table];
    kept.extend(segments.iter().cloned());
    let mut removed = Vec::new();
    let mut names_range = None;
    for (index, section) in sections.iter().enumerate() {
        let kind = section.sh_type(endian);
        if kind == elf::SHT_NULL || kind == elf::SHT_NOBITS {
            continue;
        }
        let place = range(section.sh_offset(endian), section.sh_size(endian))?;
        let loaded = section.sh_flags(endian).0 & elf::SHF_ALLOC.0 != 0;
        if index == names_index {
            names_range = Some(place);
        } else if !loaded && is_for_debuggers(section.name(endian, names).ok()?) {
            removed.push((index, place));
        } else {
            kept.push(place);
        }
    }
    Some(Layout { segments, kept, removed, names: names_range?, names_index, table })
}

fn is_for_debuggers(name: &[u8]) -> bool {
    name.starts_with(b".debug_")
        || name.starts_with(b".zdebug_")
        || name.starts_with(b".rela.debug_")
        || matches!(name, b".symtab" | b".strtab" | b".gnu_debugdata")
}

/// Whether what goes overlaps nothing that stays, and nothing unknown is in the file: a payload
/// behind the sections, for one, is somebody's data.
fn is_understood(data: &[u8], layout: &Layout) -> bool {
    let overlap = |a: &Range<usize>, b: &Range<usize>| a.start < b.end && b.start < a.end;
    let fixed = || layout.kept.iter();
    let mut moving = layout.removed.iter().map(|(_, range)| range).chain([&layout.names, &layout.table]);
    if moving.any(|range| fixed().any(|kept| overlap(range, kept))) {
        return false;
    }
    if layout.removed.iter().any(|(_, range)| overlap(range, &layout.names) || overlap(range, &layout.table))
    {
        return false;
    }
    let removed = layout.removed.iter().map(|(_, range)| range);
    let mut known: Vec<&Range<usize>> =
        fixed().chain(removed).chain([&layout.names, &layout.table]).collect();
    known.sort_by_key(|range| range.start);
    let mut covered = 0;
    for range in known {
        if data.get(covered..range.start).is_some_and(|gap| gap.iter().any(|byte| *byte != 0)) {
            return false;
        }
        covered = covered.max(range.end);
    }
    data[covered.min(data.len())..].iter().all(|byte| *byte == 0)
}

/// Whether the loader sees the same library: the same headers but for the place of the section
/// table, the same segments, byte for byte at the same offsets, the same sections besides.
fn is_same_when_loaded(before: &[u8], after: &[u8], layout: &Layout) -> bool {
    let mut header = before[..size_of::<Header>()].to_vec();
    header[HEADER_SHOFF..HEADER_SHOFF + 8].copy_from_slice(&after[HEADER_SHOFF..HEADER_SHOFF + 8]);
    let Some(read_back) = read(after) else { return false };
    after[..header.len()] == header
        && read_back.segments == layout.segments
        && read_back.removed.is_empty()
        && layout.kept.iter().skip(1).all(|range| same_but_for_header(before, after, range))
        && before[layout.names.clone()] == after[read_back.names]
}

/// The first segment usually holds the file header, whose `e_shoff` may differ.
fn same_but_for_header(before: &[u8], after: &[u8], range: &Range<usize>) -> bool {
    let skip = HEADER_SHOFF..HEADER_SHOFF + 8;
    let Some(new) = after.get(range.clone()) else { return false };
    let old = &before[range.clone()];
    if range.start >= skip.end || range.end <= skip.start {
        return old == new;
    }
    range.clone().all(|at| skip.contains(&at) || old[at - range.start] == new[at - range.start])
}
