"""Prints as JSON what the library mpegdash (PyPI) finds in the manifest at a URL."""

import json
import sys
import urllib.request

from mpegdash.parser import MPEGDASHParser


def representation(found):
    template = found.segment_templates[0]
    return {
        "id": found.id,
        "width": found.width,
        "height": found.height,
        "codecs": found.codecs,
        "bandwidth": found.bandwidth,
        "frameRate": found.frame_rate,
        "initialization": template.initialization,
        "media": template.media,
        "startNumber": template.start_number,
        "timescale": template.timescale,
        "timeline": [[entry.t, entry.d] for entry in template.segment_timelines[0].Ss],
    }


with urllib.request.urlopen(sys.argv[1]) as response:
    manifest = MPEGDASHParser.parse(response.read().decode())
json.dump(
    {
        "type": manifest.type,
        "periods": [
            [
                {
                    "id": found.id,
                    "contentType": found.content_type,
                    "segmentAlignment": found.segment_alignment,
                    "startWithSap": found.start_with_sap,
                    "representations": [representation(one) for one in found.representations],
                }
                for found in period.adaptation_sets
            ]
            for period in manifest.periods
        ],
    },
    sys.stdout,
)
