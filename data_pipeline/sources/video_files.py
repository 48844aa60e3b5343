"""Decides which files are videos: by their names where these are clear, otherwise by their contents.

A file is a video if the reader can open it and it has a stream of moving images. To open every file of a folder of a
hundred thousand others would take minutes, so the suffix decides where it is known. Only files of any other suffix, and
those without one, are opened: first their first bytes are compared with those of the containers, and a file that passes
is probed.
"""

import os
import stat
from pathlib import Path

from data_pipeline.media.reader import MediaError, probe

# Suffixes of containers for moving images. Such a file counts as a video even if it cannot be decoded, so that its
# fault is reported.
VIDEO_SUFFIXES = frozenset(
    ".264 .265 .3g2 .3gp .3gp2 .3gpp .amv .asf .avi .divx .dv .evo .f4v .flv .gxf .h264 .h265 .hevc .ifv .ismv "
    ".ivf .m1v .m2p .m2t .m2ts .m2v .m4v .mjpeg .mjpg .mk3d .mkv .mov .mp4 .mpe .mpeg .mpg .mpv .mts .mxf .nsv "
    ".nut .ogm .ogv .qt .rm .rmvb .roq .ts .vob .webm .wmv .wtv .xvid .y4m".split()
)
# Suffixes of pictures, sound, text, archives, programs and incomplete downloads. FFmpeg would open some of them.
_OTHER_SUFFIXES = frozenset(
    # pictures
    ".ai .apng .arw .avif .bmp .cr2 .cr3 .dng .eps .exr .gif .heic .heif .ico .j2k .jfif .jp2 .jpe .jpeg .jpg "
    ".jxl .nef .orf .pbm .pgm .png .pnm .ppm .psd .raf .rw2 .svg .svgz .tga .thm .tif .tiff .webp .xcf "
    # sound
    ".aac .ac3 .aif .aifc .aiff .amr .ape .au .caf .dsf .dts .flac .m4a .m4b .mid .midi .mka .mp2 .mp3 .mpc .oga "
    ".opus .ra .spx .tta .wav .weba .wma .wv "
    # text, tables, notes
    ".ass .bib .cfg .conf .csv .cue .doc .docx .htm .html .idx .info .ini .json .jsonl .log .lrc .lst .m3u .m3u8 "
    ".md .musicxml .mxl .nfo .ods .odt .pdf .pls .ppt .pptx .rst .rtf .sbv .srt .sub .tex .tsv .ttml .txt .vtt "
    ".xls .xlsx .xml .yaml .yml "
    # arrays, archives, programs, databases
    ".7z .bz2 .c .cpp .css .db .dll .dylib .exe .gz .h .h5 .hdf5 .ipynb .iso .jar .js .lmdb .mat .mid .npy .npz "
    ".o .onnx .parquet .pkl .pt .pth .py .pyc .rar .safetensors .sh .so .sqlite .tar .tfrecord .tgz .xz .zip .zst "
    # incomplete or temporary files and sidecars of programs
    ".aria2 .bak .bup .crdownload .download .ifo .lnk .lock .md5 .modd .moff .orig .part .partial .pek .scc .sha1 "
    ".sha256 .swp .temp .tmp .torrent .url .xmp .ytdl".split()
)
_HEAD_BYTES = 512
_PACKET_BYTES, _SYNC_BYTE = (188, 192, 204), 0x47  # of a transport stream
_BEGINNINGS = (
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"OggS",
    b"FLV",
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x00\x00\x01\xb3",  # MPEG video
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
    b".RMF",  # RealMedia
    b"\x06\x0e\x2b\x34",  # MXF
    b"\x1f\x07\x00",  # DV
    b"nut/multimedia",
    b"YUV4MPEG2",
    b"DKIF",  # IVF
    b"\xb7\xd8\x00\x20\x37\x49\xda\x11",  # WTV
)
_RIFF_KINDS = (b"AVI ", b"AVIX", b"CDXA")
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp")


def is_video(path: Path) -> bool:
    """Returns whether a file is a video; hidden files are not.

    Args:
        path: A regular file that may be opened, or a link to one. A pipe is not opened.
    """
    if not may_be_video(path.name):
        return False
    if has_video_suffix(path.name):
        return True
    if not _begins_like_a_video(path):
        return False
    try:
        return probe(path).has_video
    except MediaError:
        return False


def may_be_video(name: str) -> bool:
    """Returns whether a file of that name may be a video, without looking into it."""
    return not name.startswith(".") and Path(name).suffix.lower() not in _OTHER_SUFFIXES


def has_video_suffix(name: str) -> bool:
    """Returns whether a file name ends like that of a video."""
    return Path(name).suffix.lower() in VIDEO_SUFFIXES


def stem(name: str) -> str:
    """Returns a video's file name without its suffix; an unknown suffix is a part of the name, as in "take 1.2"."""
    return Path(name).stem if has_video_suffix(name) else name


def _begins_like_a_video(path: Path) -> bool:
    """Returns whether the first bytes of a file are those of a container; a file that cannot be read has none."""
    try:
        # A pipe without a writer would block.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            head = os.read(descriptor, _HEAD_BYTES) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
        finally:
            os.close(descriptor)
    except OSError:
        return False
    if head.startswith(_BEGINNINGS) or head[4:8] in _MP4_BOXES or (head[:4] == b"RIFF" and head[8:12] in _RIFF_KINDS):
        return True
    # On discs and in cameras, packets of a transport stream begin with a time code of four bytes.
    return any(
        len(head) > first + size and head[first] == head[first + size] == 0x47
        for size in _PACKET_BYTES
        for first in (0, 4)
    )
