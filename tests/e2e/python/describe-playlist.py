"""Prints as JSON what the library m3u8 (PyPI) finds in the playlist at a URL."""

import json
import sys

import m3u8


def attributes(tag, names):
    return None if tag is None else {name: getattr(tag, name) for name in names}


def segment(found):
    return {
        "uri": found.uri,
        "duration": found.duration,
        "date": found.program_date_time and found.program_date_time.timestamp(),
        "discontinuity": found.discontinuity,
        "map": found.init_section and found.init_section.uri,
        "key": found.key and {"method": found.key.method, "uri": found.key.uri, "iv": found.key.iv},
        "parts": [{"uri": part.uri, "duration": part.duration, "independent": part.independent} for part in found.parts],
    }


playlist = m3u8.load(sys.argv[1])
control = ["can_block_reload", "part_hold_back", "hold_back", "can_skip_until"]
json.dump(
    {
        "variants": [
            {
                "uri": variant.uri,
                "bandwidth": variant.stream_info.bandwidth,
                "average": variant.stream_info.average_bandwidth,
                "codecs": variant.stream_info.codecs,
                "resolution": variant.stream_info.resolution,
                "rate": variant.stream_info.frame_rate,
                "audio": variant.stream_info.audio,
            }
            for variant in playlist.playlists
        ],
        "media": [attributes(media, ["type", "group_id", "uri", "default", "channels"]) for media in playlist.media],
        "version": playlist.version,
        "independent": playlist.is_independent_segments,
        "target": playlist.target_duration,
        "sequence": playlist.media_sequence,
        "discontinuities": playlist.discontinuity_sequence,
        "ended": playlist.is_endlist,
        "control": attributes(playlist.server_control, control),
        "part_target": playlist.part_inf and playlist.part_inf.part_target,
        "hint": attributes(playlist.preload_hint, ["hint_type", "uri"]),
        "reports": [attributes(report, ["uri", "last_msn", "last_part"]) for report in playlist.rendition_reports],
        "skipped": playlist.skip and playlist.skip.skipped_segments,
        "segments": [segment(found) for found in playlist.segments],
    },
    sys.stdout,
)
