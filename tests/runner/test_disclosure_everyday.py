"""What studies really release must pass: a check that stops honest work is switched off soon."""

import base64
import gzip
import io
import json
import struct
import zlib

import pytest

from runner.disclosure import Limits, Rule, check

ROUNDED_COUNTS = b"""group,n_rounded,percent
Female,12345,51.2
Male,11765,48.8
[REDACTED],,
"""

WRITTEN_BY_R = b""""","sex","imd","n","rate (per 1,000)"
"1","F","1 (most deprived)",1230,12.5
"2","M","5 (least ""deprived"")",980,NA
"3","F","Unknown, or not recorded",<6,NA
"""

GERMAN_EXCEL = "\ufeffRegion;Anzahl;Anteil\r\nKöln;1.230;12,5\r\nMünchen;980;9,9\r\n".encode()

STATA_TABLE = b"variable\tcoef\tci\n_cons\t0.51\t[0.40, 0.62]\nage\t-0.02\t[-0.03, -0.01]\n"

MEASURES = b"interval_start,numerator,denominator,ratio,practice\n" + b"".join(
    f"2023-{month:02}-01,{month * 10},{month * 100},0.1,{practice}\n".encode()
    for month in range(1, 13)
    for practice in range(400)
)


def picture() -> bytes:
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 0)),
        (b"sRGB", b"\0"),
        (b"pHYs", struct.pack(">IIB", 3937, 3937, 1)),
        (b"tEXt", b"Software\0Matplotlib version 3.9.0, https://matplotlib.org/"),
        (b"IDAT", zlib.compress(b"\0\xff\xff\xff\0\0\0" * 2)),
        (b"IEND", b""),
    )
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


PHOTOGRAPH = (
    bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffdb004300") + b"\x08" * 64
    + bytes.fromhex("ffc0000b080001000101011100ffda0008010100003f00d2cf20ffd9")
)  # fmt: skip

MATPLOTLIB = b"""<?xml version="1.0" encoding="utf-8" standalone="no"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN"
  "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="460.8pt" height="345.6pt" viewBox="0 0 460.8 345.6"
     xmlns="http://www.w3.org/2000/svg" version="1.1">
 <metadata>
  <rdf:RDF xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:cc="http://creativecommons.org/ns#"
           xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
   <cc:Work><dc:type rdf:resource="http://purl.org/dc/dcmitype/StillImage"/></cc:Work>
  </rdf:RDF>
 </metadata>
 <defs><style type="text/css">*{stroke-linejoin: round; stroke-linecap: butt}</style></defs>
 <g id="figure_1"><path d="M 0 345.6 L 460.8 345.6 z" clip-path="url(#p5c)" style="fill: #ffffff"/>
  <!-- 2021 --><use xlink:href="#m17" x="12.5" y="30" style="stroke: #000000; stroke-width: 0.8"/>
  <image xlink:href="data:image/png;base64,iVBORw0KGgo=" width="10" height="10"/></g>
</svg>
"""

SVGLITE = b"""<?xml version='1.0' encoding='UTF-8' ?>
<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink' class='svglite' width='720.00pt'>
<defs><style type='text/css'><![CDATA[ .svglite line, .svglite text { fill: none; stroke: #000000; } ]]></style></defs>
<rect width='100%' height='100%' style='stroke: none; fill: #FFFFFF;'/>
<g clip-path='url(#cpMC4wMHw3MjAuMDA=)'><text x='10' y='20' style='font-family: "Arial";'>Rate per 1,000</text></g>
</svg>
"""

R_MARKDOWN = (
    b"""<!DOCTYPE html>

<html>
<head>
<meta charset="utf-8" />
<title>Report</title>
<script>/*! jQuery v3.6.0 */ !function(e,t){"use strict";var a=[1,2,3],b={id:1,patient:"x"};}(window);</script>
<link href="data:text/css,body%20%7Bmargin%3A0%7D" rel="stylesheet" />
<style type="text/css">code{white-space: pre-wrap;} span.smallcaps{font-variant: small-caps;}</style>
</head>
<body onload="init()">
<pre class="r"><code>df &lt;- df %&gt;% filter(!is.na(patient_id)) %&gt;% select(-patient_id, age, sex)</code></pre>
<pre><code>## # A tibble: 2 &times; 2
##   sex       n
##   &lt;chr&gt; &lt;int&gt;
## 1 F      1230
## 2 M       980</code></pre>
<table class="table"><thead><tr><th style="text-align:left;"> sex </th><th> n </th></tr></thead>
<tbody><tr><td> F </td><td> 1230 </td></tr></tbody></table>
<p><img src="data:image/png;base64,"""
    + b"iVBORw0KGgo" * 100_000
    + b""" width="672" /></p>
<script src="https://mathjax.rstudio.com/latest/MathJax.js?config=TeX-AMS-MML_HTMLorMML"></script>
</body>
</html>
"""
)

LOG = (
    b"""2024-03-01 10:00:00,123 INFO     Reading output/input.csv.gz
2024-03-01 10:00:02,456 INFO     Read 1234567 rows, 12 columns: patient_id, age, sex, imd
2024-03-01 10:00:03,001 WARNING  Dropping 17 rows where patient_id is missing
\x1b[32mdone\x1b[0m in 3.2 s
Joining with `by = join_by(patient_id)`
Rows: 100
Columns: 3
"""
    + b"2024-03-01 10:00:04,000 INFO     Bootstrap sample finished without any warning\n" * 6000
)

JSON_SUMMARY = json.dumps(
    {
        "n": 12345,
        "by_sex": {"F": 6300, "M": 6045},
        "rates": [0.1, 0.25, None],
        "note": "one row per patient_id, dropped",
        "ok": True,
    },
    indent=2,
).encode()

MARKDOWN = """# Results \u2013 round 2

We used *patient_id* only to join tables; it is not released.

| group | n | 95 % CI |
|-------|--:|:-------:|
| Female | 1230 | 1.1\u20131.3 |
| Male | 980 | 0.9\u20131.2 |

```r
select(patient_id, age)
```
""".encode()


def matplotlib_chart() -> bytes:
    """A scatter of 1,500 points and a curve of 20,000 in Matplotlib's form: its letters are drawn."""
    letter = '<path d="M 31 66 Q 24 66 20 58 M 31 74 Q 44 74 50 64 " id="DejaVuSans-{:02x}" transform="scale(0.01)"/>'
    letters = "".join(letter.format(code) for code in range(0x21, 0x7F))
    ticks = "".join(
        f'<g id="xtick_{tick}"><g id="line2d_{tick}"><g><use xlink:href="#m535fb93633" x="{tick}.5" y="144.8"'
        f' style="stroke: #000000; stroke-width: 0.8"/></g></g><g id="text_{tick}"><!-- {tick}.00 -->'
        '<g transform="translate(68.18 157.96) scale(0.1 -0.1)">'
        + "".join(f'<use xlink:href="#DejaVuSans-3{digit}" x="{digit}3.6"/>' for digit in range(8))
        + "</g></g></g>"
        for tick in range(120)
    )
    points = (
        '<g clip-path="url(#p5c)"><use xlink:href="#C0_0_a1b2" x="72.123" y="94.023" style="fill: #1f77b4"/></g>' * 1500
    )
    curve = "M 72 144 " + "".join(f"L {step}.5 {step % 97}.25 \n" for step in range(20_000))
    inside = f'<g id="figure_1"><defs>{letters}</defs>{ticks}{points}<path d="{curve}" style="fill: none"/></g>'
    return MATPLOTLIB.replace(b"</svg>", inside.encode() + b"</svg>")


def svglite_chart() -> bytes:
    """Twelve facets with 100 points, labels and a legend each, in svglite's form."""
    style = "font-size: 8.80px; fill: #4D4D4D; font-family: sans;"
    facet = (
        "<g clip-path='url(#cpMC4wMHw3MjAuMDA=)'>"
        + "<circle cx='151.49' cy='46.53' r='1.95' style='stroke-width: 0.71; fill: #F8766D;' />" * 100
        + f"<text x='30.31' y='471.88' style='{style}' textLength='48.29px'>45 to 54 years, South</text>" * 25
        + "<polyline points='32.50,468.85 35.24,468.85 ' style='stroke-width: 1.07;' />" * 25
        + "</g>\n"
    )
    return SVGLITE.replace(b"</svg>", facet.encode() * 12 + b"</svg>")


def interactive_report() -> bytes:
    """A report of Quarto with a library, a chart of Plotly in both forms, an interactive table and a map."""
    library = "!function(t,e){return t[e]?{a:[1,2],b:'x\\'y'}:/[\"'<]/g.test(e)}(window,[{k:1},{k:2}]);\n" * 20_000
    traces = [{"x": list(range(365)), "y": [0.1] * 365, "name": f"Region {number}"} for number in range(20)]
    encoded = {"dtype": "f8", "bdata": base64.b64encode(bytes(8 * 365)).decode()}
    widget = {
        "x": {"data": [[f"Practice {n}" for n in range(500)], [12] * 500], "container": "<table><th>n</th></table>"}
    }
    map_of_regions = {"x": {"calls": [[{"lng": [-1.5] * 400, "lat": [52.1] * 400}] for _ in range(150)]}}
    parts = [
        f"<script>{library}</script>",
        f"<script>Plotly.newPlot('a', {json.dumps([*traces, {'y': encoded}])}, {{title: 'Rates'}})</script>",
        f'<script type="application/json" data-for="htmlwidget-1">{json.dumps(widget)}</script>',
        f'<script type="application/json" data-for="htmlwidget-2">{json.dumps(map_of_regions)}</script>',
        '<img src="data:image/svg+xml;base64,' + base64.b64encode(svglite_chart()).decode() + '" width="672" />',
        '<style>@font-face{src:url(data:font/woff2;base64,d09GMgABAAAA' + "Ab3/" * 50_000 + ")}</style>",
        '<div class="sourceCode" id="cb1"><pre class="sourceCode r"><code class="sourceCode r"><span id="cb1-1">'
        '<a href="#cb1-1" aria-hidden="true" tabindex="-1"></a>df <span class="ot">&lt;-</span> '
        '<span class="fu">count</span>(df, patient_id)</span></code></pre></div>\n' * 300,
        "<!-- see https://quarto.org --><section id='patient_id'><h2>patient_id</h2></section>",
    ]  # fmt: skip
    return R_MARKDOWN.replace(b"</body>", "\n".join(parts).encode() + b"</body>")


def wrapped_picture() -> bytes:
    """Older notebooks break the base64 of their pictures into lines."""
    lines = base64.encodebytes(picture() + bytes(range(256)) * 400).decode()
    return f'<!DOCTYPE html>\n<html><img src="data:image/png;base64,{lines}\n"></html>'.encode()


EVERYDAY = {
    "rounded counts.csv": ROUNDED_COUNTS,
    "written by R.csv": WRITTEN_BY_R,
    "with a byte order mark.csv": b"\xef\xbb\xbf" + ROUNDED_COUNTS,
    "German Excel.csv": GERMAN_EXCEL,
    "Windows line ends.csv": ROUNDED_COUNTS.replace(b"\n", b"\r\n"),
    "Excel Unicode text.csv": STATA_TABLE.decode().encode("utf-16"),
    "tabs.csv": STATA_TABLE,
    "measures.csv": MEASURES,
    "empty.csv": b"",
    "plot.png": picture(),
    "PLOT.PNG": picture(),
    "photograph.jpg": PHOTOGRAPH,
    "photograph.jpeg": PHOTOGRAPH + b"\0\0",
    "matplotlib.svg": MATPLOTLIB,
    "svglite.svg": SVGLITE,
    "matplotlib chart.svg": matplotlib_chart(),
    "svglite chart.svg": svglite_chart(),
    "svglite chart.svgz": gzip.compress(svglite_chart()),
    "interactive report.html": interactive_report(),
    "notebook.html": wrapped_picture(),
    "with a mark.svg": b"\xef\xbb\xbf" + SVGLITE,
    "compressed.svgz": gzip.compress(MATPLOTLIB),
    "report.html": R_MARKDOWN,
    "fragment.html": b"<div id='gt'><table><tr><td>1</td></tr></table></div>\n",
    "study.log": LOG,
    "model.txt": b"Call: glm(y ~ age)\n\nCoefficients:\n          Estimate Std. Error\n(Intercept) 0.51     0.04\n",
    "empty.txt": b"",
    "summary.json": JSON_SUMMARY,
    "in one line.json": json.dumps(json.loads(JSON_SUMMARY)).encode(),
    "results.md": MARKDOWN,
    "with a picture in one line.md": MARKDOWN + b"![](data:image/png;base64," + b"iVBORw0KGgo" * 300_000 + b")\n",
}


@pytest.mark.parametrize("name", EVERYDAY)
def test_an_everyday_output_is_allowed(name):
    content = EVERYDAY[name]

    verdict = check(io.BytesIO(content), f"output/{name}", len(content), Limits())

    assert (verdict.allowed, verdict.rule, verdict.message) == (True, Rule.PASSED, "")
