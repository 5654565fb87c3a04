/* markup.c - XML and HTML as text that grows, and the frame of pictures in it. */
#include "data/text.h"
#include "train/markup_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void weft_markup_put(weft_markup *m, const char *fmt, ...)
{
    if (m->status != WEFT_OK) return;
    va_list args;
    va_start(args, fmt);
    m->status = weft_text_append_list(&m->buffer, fmt, args);
    va_end(args);
}

static void put_character(weft_markup *m, char c)
{
    switch (c) {
    case '&': weft_markup_put(m, "&amp;"); break;
    case '<': weft_markup_put(m, "&lt;"); break;
    case '>': weft_markup_put(m, "&gt;"); break;
    case '"': weft_markup_put(m, "&quot;"); break;
    case '\'': weft_markup_put(m, "&#39;"); break;
    case '\n':
    case '\t': weft_markup_put(m, "%c", c); break;
    default:
        if ((unsigned char)c < 0x20 || c == 0x7F)
            weft_markup_put(m, "\xEF\xBF\xBD");
        else
            weft_markup_put(m, "%c", c);
    }
}

void weft_markup_text(weft_markup *m, const char *text)
{
    size_t n_valid = weft_utf8_check(text, strlen(text));
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (i < n_valid) {
            put_character(m, text[i]);
        } else { /* text[i] is the first byte that is wrong */
            weft_markup_put(m, "\xEF\xBF\xBD");
            n_valid = i + 1 + weft_utf8_check(text + i + 1, strlen(text + i + 1));
        }
    }
}

void weft_markup_release(weft_markup *m)
{
    weft_text_release(&m->buffer);
    *m = (weft_markup){ 0 };
}

/* ---- pictures ----------------------------------------------------------------------------------- */

void weft_svg_style(weft_markup *m)
{
    static const char *const light[WEFT_SVG_COLOURS] = {
        "#1f5fbf", "#c8374d", "#2b8a50", "#a8730a", "#7a4bab", "#0b8287", "#c2571a", "#5c6470"
    };
    static const char *const dark[WEFT_SVG_COLOURS] = {
        "#6ea8fe", "#f2788a", "#63c08a", "#e0b04c", "#b995e6", "#4fc3c7", "#f0965c", "#a3abb8"
    };
    weft_markup_put(m, ":root{--ink:#1c1e21;--soft:#5f6670;--line:#dfe2e6;--paper:#fff;"
                       "color-scheme:light dark");
    for (int i = 0; i < WEFT_SVG_COLOURS; i++) weft_markup_put(m, ";--c%d:%s", i, light[i]);
    weft_markup_put(m, "}\n@media screen and (prefers-color-scheme:dark){:root{--ink:#e8eaed;"
                       "--soft:#a2a9b4;--line:#3a3f47;--paper:#16181c");
    for (int i = 0; i < WEFT_SVG_COLOURS; i++) weft_markup_put(m, ";--c%d:%s", i, dark[i]);
    weft_markup_put(m, "}}\nsvg{background:var(--paper);fill:var(--ink);"
                       "font:12px system-ui,sans-serif}\n"
                       "svg .t{font-size:13px;font-weight:600}svg .s{fill:var(--soft)}\n"
                       "svg .g{stroke:var(--line);fill:none}svg .l{fill:none;stroke-width:1.6;"
                       "stroke-linejoin:round}\n"
                       "svg .w{fill:var(--c0)}\n");
}

void weft_svg_begin(weft_markup *m, double width, double height, const char *title, bool alone)
{
    weft_markup_put(m,
                    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" "
                    "width=\"%.0f\" height=\"%.0f\" role=\"img\">\n<title>",
                    width, height, width, height);
    weft_markup_text(m, title);
    weft_markup_put(m, "</title>\n");
    if (!alone) return;
    weft_markup_put(m, "<style>");
    weft_svg_style(m);
    weft_markup_put(m, "</style>\n");
}

void weft_svg_end(weft_markup *m) { weft_markup_put(m, "</svg>\n"); }

/* The bytes of the character that begins at `text`, valid UTF-8, and whether it is a wide one. */
static size_t character(const char *text, bool *wide)
{
    const unsigned char c = (unsigned char)*text;
    const size_t n = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    *wide = c >= 0xE3 && c <= 0xED; /* U+3000 to U+DFFF: Chinese, Japanese, Korean */
    return n;
}

double weft_svg_text_width(const char *text)
{
    double width = 0;
    bool wide;
    for (size_t i = 0, n_bytes = strlen(text); i < n_bytes; i += character(text + i, &wide)) {
        (void)character(text + i, &wide);
        width += wide ? 12 : 6.6;
    }
    return width;
}

void weft_svg_label(weft_markup *m, const char *text, int most)
{
    char part[256];
    size_t i = 0;
    const size_t n_bytes = strlen(text);
    bool wide;
    for (int n = 0; i < n_bytes && n < most && i < sizeof part - 5; n++)
        i += character(text + i, &wide);
    if (i >= n_bytes) {
        weft_markup_text(m, text);
        return;
    }
    snprintf(part, sizeof part, "%.*s", (int)i, text);
    weft_markup_text(m, part);
    weft_markup_put(m, "\xE2\x80\xA6"); /* ... */
}
