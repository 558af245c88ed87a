"""Which parts of mapped native libraries this process has touched, as its page tables tell.

Joined after `phases.py` and before `passes.py`. A page that is in the table was touched, or lies within the 64 KiB
around one that was, which the kernel maps along; one that was written to is a copy, and was read from the file
before. Which page of memory it is, the kernel tells only to the privileged, whether there is one it tells everybody.

The linker reads a few parts of a file besides: its ELF header, the program headers, notes.
"""

_MAPS = "/proc/self/maps"
_PAGEMAP = "/proc/self/pagemap"
_PAGE = posix.sysconf("SC_PAGESIZE")
_ENTRY = 8  # bytes of the table for each page; Documentation/admin-guide/mm/pagemap.rst
# Of an entry's last byte: in memory, or swapped out.
_USED = bytes(1 if flags & 0xC0 else 0 for flags in range(256))
_HEADER_BYTES = 64  # of an ELF header with 64 bits: elf(5)
_NOTE = 4  # PT_NOTE


def _mapped():
    """Native libraries by path: address, size and place in the file of each part that is mapped."""
    with open(_MAPS, "rb") as maps:
        lines = [line.split(None, 5) for line in maps.read().split(b"\n")]
    mapped = {}
    for fields in lines:
        if len(fields) == 6 and fields[5].startswith(b"/") and b".so" in fields[5]:
            begin, end = (int(number, 16) for number in fields[0].split(b"-"))
            path = fields[5].decode("utf-8", "surrogateescape")
            mapped.setdefault(path, []).append((begin, end - begin, int(fields[2], 16)))
    return mapped


def _touched(mapped):
    """Where each touched part of these files begins and ends, in turn; without those of which it is not known."""
    found = {}
    try:
        pagemap = posix.open(_PAGEMAP, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return found
    try:
        for path, areas in mapped.items():
            try:
                bounds = _read_by_linker(path)
                for area in areas:
                    bounds += _in_memory(pagemap, *area)
            except (OSError, ValueError):
                continue
            found[path] = bounds
    finally:
        posix.close(pagemap)
    return found


def _in_memory(pagemap, address, size, offset):
    pages = size // _PAGE
    table = posix.pread(pagemap, pages * _ENTRY, address // _PAGE * _ENTRY)
    if len(table) != pages * _ENTRY:
        raise ValueError
    used = table[_ENTRY - 1 :: _ENTRY].translate(_USED)
    bounds = []
    begin = used.find(1)
    while begin >= 0:
        end = used.find(0, begin)
        if end < 0:
            end = pages
        bounds += (offset + begin * _PAGE, offset + end * _PAGE)
        begin = used.find(1, end)
    return bounds


def _read_by_linker(path):
    source = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        header = posix.pread(source, _HEADER_BYTES, 0)
        if len(header) != _HEADER_BYTES or header[:6] != b"\x7fELF\x02\x01":
            raise ValueError  # Not 64 bits, little endian: for neither machine of Lambda.
        at = int.from_bytes(header[32:40], "little")
        size = int.from_bytes(header[54:56], "little")
        count = int.from_bytes(header[56:58], "little")
        bounds = [0, _PAGE, at, at + size * count]
        table = posix.pread(source, size * count, at)
        for begin in range(0, len(table), size or 1):
            row = table[begin : begin + 40]
            if int.from_bytes(row[:4], "little") == _NOTE:
                place = int.from_bytes(row[8:16], "little")
                bounds += (place, place + int.from_bytes(row[32:40], "little"))
        return bounds
    finally:
        posix.close(source)
