//! What a program's ELF headers tell; only they are read, however large it is.

use std::{fs::File, path::Path};

use object::{
    Endianness, ReadCache, ReadRef,
    elf::{EM_AARCH64, EM_X86_64, FileHeader64},
    read::elf::{FileHeader, ProgramHeader},
};

/// The longest path of a loader that is believed.
const LONGEST_PATH: u64 = 4096;

/// What matters of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Elf {
    /// Whether this machine runs it as it runs us.
    pub(super) is_of_this_machine: bool,
    /// The loader that it asks for; a static program asks for none.
    pub(super) interpreter: Option<String>,
    /// Whether Go's linker made it.
    pub(super) is_go: bool,
}

impl Elf {
    /// Reads a program's headers; nothing if it is no ELF program, or a broken one, which the kernel will refuse.
    pub(super) fn read(program: &Path) -> Option<Self> {
        let file = ReadCache::new(File::open(program).ok()?);
        let magic = (&file).read_bytes_at(0, 5).ok()?;
        match magic {
            [0x7f, b'E', b'L', b'F', 2] => read_64(&file),
            // 32 bits: another machine, even if this one can play it.
            [0x7f, b'E', b'L', b'F', _] => {
                Some(Self { is_of_this_machine: false, interpreter: None, is_go: false })
            }
            _ => None,
        }
    }
}

fn read_64<'data, R: ReadRef<'data>>(file: R) -> Option<Elf> {
    let header = FileHeader64::<Endianness>::parse(file).ok()?;
    let endian = header.endian().ok()?;
    let ours = if cfg!(target_arch = "aarch64") { EM_AARCH64 } else { EM_X86_64 };
    let is_of_this_machine = header.is_little_endian() && header.e_machine(endian) == ours;
    let segments = header.program_headers(endian, file).ok()?;
    let interpreter = segments.iter().find_map(|segment| {
        let (start, length) = segment.file_range(endian);
        let is_asked_for = segment.p_type(endian) == object::elf::PT_INTERP && length <= LONGEST_PATH;
        let bytes = is_asked_for.then(|| file.read_bytes_at(start, length).ok()).flatten()?;
        let path = bytes.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(path).into_owned())
    });
    let is_go = header.sections(endian, file).is_ok_and(|sections| {
        sections.section_by_name(endian, b".go.buildinfo").is_some()
            || sections.section_by_name(endian, b".gopclntab").is_some()
    });
    Some(Elf { is_of_this_machine, interpreter, is_go })
}
