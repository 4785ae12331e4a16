"""Takes the padding out of shared libraries of wheels: `smaller_libraries.py FOLDER…`, in a build of the image.

Why it exists: auditwheel moves parts of each library to new segments and puts those 2 MB apart in the file, for pages
of a size that no machine of ours has. Graphviz's come to 108 MB of which 90 MB are zeros. Here the segments follow one
another with the distance that pages of 64 KB need at most; where they are in memory stays as it is, and nothing but
the program headers says where they are in the file (section headers, which only debuggers read, are left out).
"""

import struct
import sys
from pathlib import Path

PAGE = 64 * 1024
ENDS = 1024  # smaller gains are not worth a change
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM = struct.Struct("<IIQQQQQQ")
_LOAD = 1


def smaller(content: bytes) -> bytes:
    """The same library with its segments close together; as it was, if it is not a 64-bit little-endian ELF file."""
    if content[:6] != b"\x7fELF\x02\x01":
        return content
    header = list(_HEADER.unpack_from(content))
    first, size, count = header[5], header[9], header[10]
    if size != _PROGRAM.size:
        return content
    # type, flags, offset, address, physical, in the file, in memory, alignment
    programs = [list(_PROGRAM.unpack_from(content, first + number * size)) for number in range(count)]
    loaded = sorted((each for each in programs if each[0] == _LOAD), key=lambda each: each[2])
    if any(each[7] <= PAGE for each in loaded):
        return content  # made for small pages: there is little padding, and less room in memory than is assumed here
    made, moved = bytearray(), []
    for segment in loaded:
        begin, length = segment[2], segment[5]
        place = len(made) + (segment[3] - len(made)) % PAGE if made else 0
        made.extend(bytes(place - len(made)))
        made += content[begin : begin + length]
        moved.append((begin, begin + length, place - begin))
    for each in programs:
        old = each[2]
        each[2] += next((by for begin, end, by in moved if begin <= old <= end), -old)
        if each[0] == _LOAD:
            each[7] = PAGE
    place = next((first + by for begin, end, by in moved if begin <= first < end), None)
    if place is None or not loaded or loaded[0][2] != 0:
        return content
    header[5], header[6], header[12], header[13] = place, 0, 0, 0
    _HEADER.pack_into(made, 0, *header)
    for number, each in enumerate(programs):
        _PROGRAM.pack_into(made, place + number * size, *each)
    return bytes(made)


def main(folders: list[str]) -> None:
    saved = 0
    for path in (path for folder in folders for path in Path(folder).rglob("*.so*") if path.is_file()):
        before = path.read_bytes()
        after = smaller(before)
        if len(after) < len(before) - ENDS:
            path.write_bytes(after)
            saved += len(before) - len(after)
    print(f"{saved // 1_000_000} MB of padding were taken out of shared libraries")


if __name__ == "__main__":
    main(sys.argv[1:])
