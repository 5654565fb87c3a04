/* corpus.c - sentence pairs and running text in memory. */
#include "data/corpus.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "data/file_internal.h"
#include "data/grow_internal.h"
#include "data/text.h"
#include "data/vocab_internal.h"

/* Item i of a side: text + begin[i], NUL-terminated; ids + first_id[i] up to first_id[i + 1]. */
typedef struct corpus_side {
    bool present;
    char *text;
    size_t text_room;
    size_t *begin; /* [n + 1] */
    size_t begin_room;
    int32_t *ids;
    int64_t *first_id; /* [n + 1] */
    int64_t n_unknown;
} corpus_side;

/* Items from `first` on, up to the next part, have this weight. */
typedef struct corpus_part {
    int64_t first;
    double weight;
} corpus_part;

/* Items first .. end - 1 are the lines of a file. */
typedef struct corpus_file {
    int64_t first, end;
    char *path;
} corpus_file;

struct weft_corpus {
    int64_t n;          /* items; texts beyond the n-th are rubbish of a failed addition */
    corpus_part *parts; /* [n_parts]; before the first the weight is 1 */
    size_t n_parts, parts_room;
    corpus_file *files; /* [n_files] */
    size_t n_files, files_room;
    int64_t n_encoded; /* the ids are those of the first n_encoded items */
    corpus_side side[2];
};

static const char *const side_names[] = { "source", "target" };

weft_corpus *weft_corpus_new(void) { return weft_alloc(1, sizeof(weft_corpus)); }

static void drop_ids(weft_corpus *corpus)
{
    for (int s = 0; s < 2; s++) {
        corpus_side *side = &corpus->side[s];
        weft_free(side->ids);
        weft_free(side->first_id);
        side->ids = NULL;
        side->first_id = NULL;
        side->n_unknown = 0;
    }
    corpus->n_encoded = 0;
}

void weft_corpus_free(weft_corpus *corpus)
{
    if (!corpus) return;
    drop_ids(corpus);
    for (int s = 0; s < 2; s++) {
        weft_free(corpus->side[s].text);
        weft_free(corpus->side[s].begin);
    }
    for (size_t f = 0; f < corpus->n_files; f++) weft_free(corpus->files[f].path);
    weft_free(corpus->files);
    weft_free(corpus->parts);
    weft_free(corpus);
}

/* ---- adding --------------------------------------------------------------------------------- */

static size_t text_end(const weft_corpus *corpus, const corpus_side *side)
{
    return corpus->n > 0 ? side->begin[corpus->n] : 0;
}

/* Put text behind the last item of a side; it counts once corpus->n is raised. */
static weft_status put_text(const weft_corpus *corpus, corpus_side *side, const char *text,
                            size_t n_bytes)
{
    const size_t start = text_end(corpus, side);
    char *block = weft_grow(side->text, &side->text_room, start + n_bytes + 1, 1);
    if (!block) return WEFT_ERR_MEMORY;
    side->text = block;
    size_t *begin = weft_grow(side->begin, &side->begin_room, (size_t)corpus->n + 2, sizeof *begin);
    if (!begin) return WEFT_ERR_MEMORY;
    side->begin = begin;
    memcpy(block + start, text, n_bytes);
    block[start + n_bytes] = '\0';
    if (corpus->n == 0) begin[0] = 0;
    begin[corpus->n + 1] = start + n_bytes + 1;
    return WEFT_OK;
}

/* All items are of one kind: `has` is which sides the next one brings. */
static weft_status check_kind(weft_corpus *corpus, bool has_source, bool has_target)
{
    if (!has_source && !has_target) {
        return weft_error(WEFT_ERR_INPUT, "an item has a source or a target, or both");
    }
    if (corpus->n == INT32_MAX - 1) {
        return weft_error(WEFT_ERR_OVERFLOW, "a corpus has at most %d items", INT32_MAX - 1);
    }
    if (corpus->n == 0) {
        corpus->side[WEFT_SOURCE].present = has_source;
        corpus->side[WEFT_TARGET].present = has_target;
    }
    const bool had[] = { corpus->side[WEFT_SOURCE].present, corpus->side[WEFT_TARGET].present };
    if (had[0] == has_source && had[1] == has_target) return WEFT_OK;
    return weft_error(WEFT_ERR_STATE, "the items of this corpus have %s, the new one has %s",
                      had[0] && had[1] ? "source and target" : side_names[had[1]],
                      has_source && has_target ? "source and target" : side_names[has_target]);
}

static weft_status add_item(weft_corpus *corpus, const char *const text[2], const size_t n_bytes[2])
{
    weft_status status = check_kind(corpus, text[WEFT_SOURCE], text[WEFT_TARGET]);
    for (int s = 0; s < 2 && status == WEFT_OK; s++) {
        if (text[s]) status = put_text(corpus, &corpus->side[s], text[s], n_bytes[s]);
    }
    if (status == WEFT_OK) corpus->n++;
    return status;
}

weft_status weft_corpus_add(weft_corpus *corpus, const char *source, const char *target)
{
    const char *const text[2] = { source, target };
    size_t n_bytes[2] = { 0, 0 };
    for (int s = 0; s < 2; s++) {
        if (!text[s]) continue;
        n_bytes[s] = strlen(text[s]);
        const size_t bad = weft_utf8_check(text[s], n_bytes[s]);
        if (bad < n_bytes[s]) {
            return weft_error(WEFT_ERR_INPUT,
                              "item %lld: byte %zu of the %s (0x%02X) is not valid "
                              "UTF-8",
                              (long long)corpus->n, bad + 1, side_names[s],
                              (unsigned)(unsigned char)text[s][bad]);
        }
    }
    return add_item(corpus, text, n_bytes);
}

/* ---- reading -------------------------------------------------------------------------------- */

static bool is_blank(const char *text, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++) {
        if (text[i] != ' ' && (text[i] < '\t' || text[i] > '\r')) return false;
    }
    return true;
}

static weft_status line_error(const weft_lines *lines, const char *what)
{
    return weft_error(WEFT_ERR_INPUT, "%s:%lld: %s", weft_lines_path(lines),
                      (long long)weft_lines_number(lines), what);
}

/* The items from `first` on are those of a file. */
static weft_status note_file(weft_corpus *corpus, int64_t first, const char *path)
{
    corpus_file *files =
        weft_grow(corpus->files, &corpus->files_room, corpus->n_files + 1, sizeof *files);
    if (!files) return WEFT_ERR_MEMORY;
    corpus->files = files;
    files[corpus->n_files] = (corpus_file){ first, corpus->n, weft_strdup(path) };
    if (!files[corpus->n_files].path) return WEFT_ERR_MEMORY;
    corpus->n_files++;
    return WEFT_OK;
}

/* The end of every reader: a file without lines is an error, and an error undoes what was added. */
static weft_status finish(weft_corpus *corpus, weft_lines *lines, int64_t n_before,
                          weft_status status)
{
    if (status == WEFT_OK && corpus->n == n_before) {
        status = weft_error(WEFT_ERR_INPUT, "%s: the file is empty", weft_lines_path(lines));
    }
    if (status == WEFT_OK) status = note_file(corpus, n_before, weft_lines_path(lines));
    if (status != WEFT_OK) corpus->n = n_before;
    weft_lines_free(lines);
    return status;
}

static weft_status add_columns(weft_corpus *corpus, const weft_lines *lines, const char *line,
                               size_t n_bytes)
{
    const char *tab = memchr(line, '\t', n_bytes);
    if (is_blank(line, n_bytes)) return line_error(lines, "empty line");
    if (!tab) return line_error(lines, "no tab between source and target");
    const char *target = tab + 1;
    const size_t left = n_bytes - (size_t)(target - line);
    const char *second = memchr(target, '\t', left);
    const size_t n[2] = { (size_t)(tab - line), second ? (size_t)(second - target) : left };
    if (is_blank(line, n[0])) return line_error(lines, "the source (before the tab) is empty");
    if (is_blank(target, n[1])) return line_error(lines, "the target (after the tab) is empty");
    return add_item(corpus, (const char *const[2]){ line, target }, n);
}

weft_status weft_corpus_read_tsv(weft_corpus *corpus, const char *path)
{
    weft_lines *lines;
    weft_status status = weft_lines_open(path, &lines);
    if (status != WEFT_OK) return status;
    const int64_t n_before = corpus->n;
    const char *line;
    size_t n_bytes;
    while ((status = weft_lines_next(lines, &line, &n_bytes)) == WEFT_OK && line) {
        status = add_columns(corpus, lines, line, n_bytes);
        if (status != WEFT_OK) break;
    }
    return finish(corpus, lines, n_before, status);
}

weft_status weft_corpus_read_lines(weft_corpus *corpus, const char *path, weft_side side)
{
    weft_lines *lines;
    weft_status status = weft_lines_open(path, &lines);
    if (status != WEFT_OK) return status;
    const int64_t n_before = corpus->n;
    const char *line;
    size_t n_bytes;
    while ((status = weft_lines_next(lines, &line, &n_bytes)) == WEFT_OK && line) {
        const char *text[2] = { NULL, NULL };
        text[side] = line;
        status = is_blank(line, n_bytes) ? line_error(lines, "empty line")
                                         : add_item(corpus, text, (size_t[2]){ n_bytes, n_bytes });
        if (status != WEFT_OK) break;
    }
    return finish(corpus, lines, n_before, status);
}

/* Open PREFIX.SUFFIX, or PREFIX.SUFFIX.gz where there is no such file. */
static weft_status open_side(const char *prefix, const char *suffix, weft_lines **lines)
{
    *lines = NULL;
    const size_t room = strlen(prefix) + strlen(suffix) + sizeof "..gz";
    char *path = weft_alloc(room, 1);
    if (!path) return WEFT_ERR_MEMORY;
    const int n = snprintf(path, room, "%s.%s", prefix, suffix);
    if (access(path, F_OK) != 0) snprintf(path + n, room - (size_t)n, ".gz");
    weft_status status;
    if (access(path, F_OK) != 0) {
        const int error = errno;
        status = weft_error(weft_file_status(error), "%.*s: %s (nor is there %s)", n, path,
                            strerror(error), path);
    } else {
        status = weft_lines_open(path, lines);
    }
    weft_free(path);
    return status;
}

/* Lines left in a file, the given one included. */
static weft_status count_rest(weft_lines *lines, const char *line)
{
    weft_status status = WEFT_OK;
    while (line && status == WEFT_OK) status = weft_lines_next(lines, &line, NULL);
    return status;
}

static weft_status add_pairs(weft_corpus *corpus, weft_lines *const lines[2])
{
    for (;;) {
        const char *text[2];
        size_t n_bytes[2];
        for (int s = 0; s < 2; s++) {
            const weft_status status = weft_lines_next(lines[s], &text[s], &n_bytes[s]);
            if (status != WEFT_OK) return status;
            if (text[s] && is_blank(text[s], n_bytes[s])) {
                return line_error(lines[s], "empty line");
            }
        }
        if (!text[0] && !text[1]) return WEFT_OK;
        if (!text[0] || !text[1]) {
            for (int s = 0; s < 2; s++) {
                const weft_status status = count_rest(lines[s], text[s]);
                if (status != WEFT_OK) return status;
            }
            return weft_error(WEFT_ERR_INPUT,
                              "%s has %lld lines, %s has %lld: they must pair line by line",
                              weft_lines_path(lines[0]), (long long)weft_lines_number(lines[0]),
                              weft_lines_path(lines[1]), (long long)weft_lines_number(lines[1]));
        }
        const weft_status status = add_item(corpus, text, n_bytes);
        if (status != WEFT_OK) return status;
    }
}

weft_status weft_corpus_read_parallel(weft_corpus *corpus, const char *prefix, const char *src,
                                      const char *tgt)
{
    weft_lines *lines[2] = { NULL, NULL };
    const int64_t n_before = corpus->n;
    weft_status status = open_side(prefix, src, &lines[0]);
    if (status == WEFT_OK) status = open_side(prefix, tgt, &lines[1]);
    if (status != WEFT_OK) {
        weft_lines_free(lines[0]);
        return status;
    }
    status = finish(corpus, lines[0], n_before, add_pairs(corpus, lines));
    weft_lines_free(lines[1]);
    return status;
}

/* The lines of a file in one block. */
static weft_status gather(weft_lines *lines, char **text, size_t *n_bytes)
{
    size_t room = 0, n_line;
    const char *line;
    weft_status status;
    while ((status = weft_lines_next(lines, &line, &n_line)) == WEFT_OK && line) {
        char *block = weft_grow(*text, &room, *n_bytes + n_line + 1, 1);
        if (!block) return WEFT_ERR_MEMORY;
        *text = block;
        memcpy(block + *n_bytes, line, n_line);
        *n_bytes += n_line;
        block[(*n_bytes)++] = '\n';
    }
    return status;
}

weft_status weft_corpus_read_text(weft_corpus *corpus, const char *path)
{
    weft_lines *lines;
    weft_status status = weft_lines_open(path, &lines);
    if (status != WEFT_OK) return status;
    const int64_t n_before = corpus->n;
    char *text = NULL;
    size_t n_bytes = 0;
    status = gather(lines, &text, &n_bytes);
    if (status == WEFT_OK && n_bytes > 0) {
        status = add_item(corpus, (const char *const[2]){ NULL, text }, (size_t[2]){ 0, n_bytes });
    }
    weft_free(text);
    return finish(corpus, lines, n_before, status);
}

/* ---- splitting ------------------------------------------------------------------------------ */

/* Bytes of UTF-8 that begin a character. */
static bool begins_character(char byte) { return ((unsigned char)byte & 0xC0) != 0x80; }

static weft_status check_split(double fraction, int64_t n, const char *what, int64_t *n_tail)
{
    const double tail = fraction > 0 && fraction < 1 ? round(fraction * (double)n) : 0;
    *n_tail = (int64_t)tail;
    if (*n_tail >= 1 && *n_tail < n) return WEFT_OK;
    return weft_error(WEFT_ERR_RANGE, "splitting off %g of %lld %s leaves one part empty", fraction,
                      (long long)n, what);
}

static weft_status split_document(weft_corpus *corpus, double fraction, weft_corpus *tail)
{
    corpus_side *side = &corpus->side[WEFT_TARGET];
    int64_t n = 0, n_tail;
    for (const char *c = side->text; *c; c++) n += begins_character(*c);
    weft_status status = check_split(fraction, n, "characters", &n_tail);
    if (status != WEFT_OK) return status;
    char *cut = side->text;
    for (int64_t seen = 0;; cut++) {
        seen += begins_character(*cut);
        if (seen > n - n_tail) break;
    }
    const size_t n_bytes = (size_t)(side->text + side->begin[1] - 1 - cut);
    status = add_item(tail, (const char *const[2]){ NULL, cut }, (size_t[2]){ 0, n_bytes });
    if (status != WEFT_OK) return status;
    *cut = '\0';
    side->begin[1] = (size_t)(cut - side->text) + 1;
    return WEFT_OK;
}

static weft_status split_items(weft_corpus *corpus, double fraction, weft_corpus *tail)
{
    int64_t n_tail;
    weft_status status = check_split(fraction, corpus->n, "items", &n_tail);
    for (int64_t i = corpus->n - n_tail; i < corpus->n && status == WEFT_OK; i++) {
        const char *text[2];
        size_t n_bytes[2];
        for (int s = 0; s < 2; s++) {
            text[s] = weft_corpus_text(corpus, (weft_side)s, i);
            n_bytes[s] = text[s] ? strlen(text[s]) : 0;
        }
        status = add_item(tail, text, n_bytes);
    }
    if (status != WEFT_OK) {
        tail->n = 0;
        return status;
    }
    corpus->n -= n_tail;
    for (size_t f = 0; f < corpus->n_files; f++)
        if (corpus->files[f].end > corpus->n) corpus->files[f].end = corpus->n;
    return WEFT_OK;
}

weft_status weft_corpus_split(weft_corpus *corpus, double fraction, weft_corpus *tail)
{
    if (corpus->n == 0 || tail->n != 0 || tail == corpus) {
        return weft_error(WEFT_ERR_STATE,
                          "splitting needs a corpus with items (%lld) and an empty "
                          "one for the tail (%lld)",
                          (long long)corpus->n, (long long)tail->n);
    }
    const bool document = corpus->n == 1 && !corpus->side[WEFT_SOURCE].present;
    const weft_status status =
        document ? split_document(corpus, fraction, tail) : split_items(corpus, fraction, tail);
    if (status == WEFT_OK) drop_ids(corpus);
    return status;
}

/* ---- weights -------------------------------------------------------------------------------- */

weft_status weft_corpus_set_weight(weft_corpus *corpus, double weight)
{
    if (!(weight > 0 && weight <= 1000)) {
        return weft_error(WEFT_ERR_RANGE, "the weight of a corpus is %g; it lies in (0, 1000]",
                          weight);
    }
    corpus_part *parts =
        weft_grow(corpus->parts, &corpus->parts_room, corpus->n_parts + 1, sizeof *parts);
    if (!parts) return WEFT_ERR_MEMORY;
    corpus->parts = parts;
    parts[corpus->n_parts++] = (corpus_part){ corpus->n, weight };
    return WEFT_OK;
}

double weft_corpus_weight(const weft_corpus *corpus, int64_t i)
{
    for (size_t p = corpus->n_parts; p > 0; p--) {
        if (corpus->parts[p - 1].first <= i) return corpus->parts[p - 1].weight;
    }
    return 1;
}

/* ---- reading it ----------------------------------------------------------------------------- */

int64_t weft_corpus_size(const weft_corpus *corpus) { return corpus->n; }

bool weft_corpus_has(const weft_corpus *corpus, weft_side side)
{
    return corpus->n > 0 && corpus->side[side].present;
}

const char *weft_corpus_text(const weft_corpus *corpus, weft_side side, int64_t i)
{
    if (i < 0 || i >= corpus->n || !corpus->side[side].present) return NULL;
    return corpus->side[side].text + corpus->side[side].begin[i];
}

const char *weft_corpus_file(const weft_corpus *corpus, int64_t i, int64_t *line)
{
    for (size_t f = 0; f < corpus->n_files; f++) {
        const corpus_file *file = &corpus->files[f];
        if (i < file->first || i >= file->end) continue;
        *line = i - file->first + 1;
        return file->path;
    }
    return NULL;
}

uint64_t weft_corpus_hash(const weft_corpus *corpus)
{
    uint64_t hash = 0;
    for (int s = 0; s < 2 && corpus->n > 0; s++) {
        const corpus_side *side = &corpus->side[s];
        if (side->present)
            hash = XXH3_64bits_withSeed(side->text, text_end(corpus, side), hash + 1);
    }
    return hash;
}

/* ---- ids ------------------------------------------------------------------------------------ */

weft_status weft_corpus_count(const weft_corpus *corpus, weft_side side, weft_vocab *vocab)
{
    if (!weft_corpus_has(corpus, side)) {
        return weft_error(WEFT_ERR_STATE, "the corpus has no %s to count", side_names[side]);
    }
    for (int64_t i = 0; i < corpus->n; i++) {
        const weft_status status = weft_vocab_count(vocab, weft_corpus_text(corpus, side, i));
        if (status != WEFT_OK) return status;
    }
    return WEFT_OK;
}

/* The ids of all items of a side. */
static weft_status encode_items(const weft_corpus *corpus, corpus_side *side,
                                const weft_vocab *vocab, weft_encoder *encoder)
{
    for (int64_t i = 0; i < corpus->n; i++) {
        const int64_t from = encoder->n_ids;
        const weft_status status = weft_encode(vocab, encoder, side->text + side->begin[i]);
        if (status != WEFT_OK) return status;
        for (int64_t j = from; j < encoder->n_ids; j++) {
            side->n_unknown += encoder->ids[j] == WEFT_UNK;
        }
        side->first_id[i + 1] = encoder->n_ids;
    }
    /* Give back what was too much; shrinking may fail, then the block stays as it is. */
    int32_t *fitting = weft_realloc(encoder->ids, (size_t)encoder->n_ids + 1, sizeof *encoder->ids);
    if (!fitting && !encoder->ids) return WEFT_ERR_MEMORY;
    side->ids = fitting ? fitting : encoder->ids;
    encoder->ids = NULL;
    return WEFT_OK;
}

static weft_status encode_side(const weft_corpus *corpus, corpus_side *side,
                               const weft_vocab *vocab)
{
    side->n_unknown = 0;
    side->first_id = weft_alloc((size_t)corpus->n + 1, sizeof *side->first_id);
    if (!side->first_id) return WEFT_ERR_MEMORY;
    weft_encoder encoder = { .n_ids = 0 };
    weft_encoder_init(&encoder, vocab);
    const weft_status status = encode_items(corpus, side, vocab, &encoder);
    weft_encoder_free(&encoder);
    return status;
}

weft_status weft_corpus_encode(weft_corpus *corpus, const weft_vocab *source,
                               const weft_vocab *target)
{
    const weft_vocab *const vocabs[2] = { source, target };
    if (corpus->n == 0) return weft_error(WEFT_ERR_STATE, "the corpus is empty");
    for (int s = 0; s < 2; s++) {
        if (!corpus->side[s].present) continue;
        if (!vocabs[s] || !weft_vocab_is_built(vocabs[s])) {
            return weft_error(WEFT_ERR_STATE, "encoding the %s needs a vocabulary that is built",
                              side_names[s]);
        }
    }
    drop_ids(corpus);
    weft_status status = WEFT_OK;
    for (int s = 0; s < 2 && status == WEFT_OK; s++) {
        if (corpus->side[s].present) status = encode_side(corpus, &corpus->side[s], vocabs[s]);
    }
    if (status == WEFT_OK) {
        corpus->n_encoded = corpus->n;
    } else {
        drop_ids(corpus);
    }
    return status;
}

const int32_t *weft_corpus_ids(const weft_corpus *corpus, weft_side side, int64_t i, int64_t *n)
{
    const corpus_side *s = &corpus->side[side];
    *n = 0;
    if (corpus->n_encoded != corpus->n || i < 0 || i >= corpus->n || !s->ids) return NULL;
    *n = s->first_id[i + 1] - s->first_id[i];
    return s->ids + s->first_id[i];
}

int64_t weft_corpus_tokens(const weft_corpus *corpus, weft_side side, int64_t *n_unknown)
{
    const corpus_side *s = &corpus->side[side];
    const bool encoded = corpus->n_encoded == corpus->n && s->ids;
    if (n_unknown) *n_unknown = encoded ? s->n_unknown : 0;
    return encoded ? s->first_id[corpus->n] : 0;
}

weft_status weft_corpus_check_lengths(const weft_corpus *corpus, weft_side side, int64_t first,
                                      int64_t most, const char *more)
{
    for (int64_t i = 0; i < corpus->n; i++) {
        int64_t n, line;
        if (!weft_corpus_ids(corpus, side, i, &n) || n <= most) continue;
        const char *path = weft_corpus_file(corpus, i, &line);
        weft_status status =
            weft_error(WEFT_ERR_INPUT,
                       "%s has %lld tokens, and the limit is %lld: is it one "
                       "sentence? %s allows more",
                       path ? side_names[side] : "", (long long)n, (long long)most, more);
        if (path) return weft_error_prefix(status, "%s:%lld: the ", path, (long long)line);
        return weft_error_prefix(status, "line %lld", (long long)first + i + 1);
    }
    return WEFT_OK;
}
