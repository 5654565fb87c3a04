/* bpe.c - codes: as an object, as lines of text, as a file; and a text cut by them. */
#include "data/bpe_internal.h"

#include <string.h>

#include "data/grow_internal.h"
#include "data/text.h"
#include "data/vocab_internal.h"

static const char version[] = "#version: 0.2";

weft_bpe *weft_bpe_new(void) { return weft_alloc(1, sizeof(weft_bpe)); }

void weft_bpe_free(weft_bpe *bpe)
{
    if (!bpe) return;
    weft_strings_free(&bpe->symbols);
    weft_free(bpe->merges);
    weft_free(bpe->ranks.slots);
    weft_free(bpe->made_by);
    weft_free(bpe);
}

int64_t weft_bpe_size(const weft_bpe *bpe) { return (int64_t)bpe->n; }

static weft_status intern(weft_bpe *bpe, const char *text, size_t n_bytes, int32_t *symbol)
{
    const weft_status status = weft_strings_intern(&bpe->symbols, text, n_bytes, symbol, NULL);
    if (status != WEFT_OK) return status;
    int32_t *made_by =
        weft_grow(bpe->made_by, &bpe->made_by_room, bpe->symbols.n, sizeof *bpe->made_by);
    if (!made_by) return WEFT_ERR_MEMORY;
    bpe->made_by = made_by;
    return WEFT_OK;
}

/* Symbols that `intern` has seen for the first time since there were n. */
static void nothing_makes(weft_bpe *bpe, size_t n)
{
    for (; n < bpe->symbols.n; n++) bpe->made_by[n] = -1;
}

weft_status weft_bpe_add(weft_bpe *bpe, const char *left, size_t n_left, const char *right,
                         size_t n_right)
{
    weft_bpe_merge merge;
    const size_t n_before = bpe->symbols.n;
    char *both = weft_alloc(n_left + n_right, 1);
    if (!both) return WEFT_ERR_MEMORY;
    memcpy(both, left, n_left);
    memcpy(both + n_left, right, n_right);
    weft_status status = intern(bpe, left, n_left, &merge.left);
    if (status == WEFT_OK) status = intern(bpe, right, n_right, &merge.right);
    if (status == WEFT_OK) status = intern(bpe, both, n_left + n_right, &merge.result);
    weft_free(both);
    if (status != WEFT_OK) return status;
    nothing_makes(bpe, n_before);

    weft_bpe_merge *merges = weft_grow(bpe->merges, &bpe->room, bpe->n + 1, sizeof *merges);
    if (!merges) return WEFT_ERR_MEMORY;
    bpe->merges = merges;
    const int32_t rank = (int32_t)bpe->n;
    if (weft_pairs_find(&bpe->ranks, merge.left, merge.right) < 0) {
        status = weft_pairs_put(&bpe->ranks, merge.left, merge.right, rank);
        if (status != WEFT_OK) return status;
    }
    if (bpe->made_by[merge.result] < 0) bpe->made_by[merge.result] = rank;
    merges[bpe->n++] = merge;
    return WEFT_OK;
}

/* ---- as text -------------------------------------------------------------------------------- */

static weft_status add_line(weft_bpe *bpe, const char *line, size_t n_bytes, const char *name,
                            int64_t number)
{
    const char *wrong = NULL;
    const char *space = memchr(line, ' ', n_bytes);
    const size_t n_left = space ? (size_t)(space - line) : 0;
    const size_t n_right = space ? n_bytes - n_left - 1 : 0;
    if (weft_utf8_check(line, n_bytes) != n_bytes) {
        wrong = "the merge is not valid UTF-8";
    } else if (n_left == 0 || n_right == 0 || memchr(space + 1, ' ', n_right)) {
        wrong = "a merge is two symbols with one space between";
    }
    if (!wrong) return weft_bpe_add(bpe, line, n_left, space + 1, n_right);
    return weft_error(WEFT_ERR_FORMAT, "%s:%lld: %s", name, (long long)number, wrong);
}

weft_status weft_bpe_parse_lines(const char *text, int64_t n_lines, const char *name,
                                 int64_t number, weft_bpe **bpe, const char **rest)
{
    *bpe = NULL;
    weft_bpe *parsed = weft_bpe_new();
    weft_status status = parsed ? WEFT_OK : WEFT_ERR_MEMORY;
    for (int64_t i = 0; i < n_lines && status == WEFT_OK; i++, number++) {
        const char *end = strchr(text, '\n');
        if (!end) {
            status = weft_error(WEFT_ERR_FORMAT, "%s:%lld: the merges are cut off", name,
                                (long long)number);
            break;
        }
        status = add_line(parsed, text, (size_t)(end - text), name, number);
        text = end + 1;
    }
    if (status != WEFT_OK) {
        weft_bpe_free(parsed);
        return status;
    }
    *bpe = parsed;
    *rest = text;
    return WEFT_OK;
}

/* `line` is the first one, NULL in an empty file. */
static weft_status check_version(const char *line, const char *path)
{
    if (line && strcmp(line, version) == 0) return WEFT_OK;
    return weft_error(WEFT_ERR_FORMAT, "%s:1: a file of BPE codes begins with \"%s\"", path,
                      version);
}

static weft_status read_lines(weft_lines *lines, const char *path, weft_bpe *bpe)
{
    const char *line;
    size_t n_bytes;
    weft_status status = weft_lines_next(lines, &line, &n_bytes);
    if (status == WEFT_OK) status = check_version(line, path);
    while (status == WEFT_OK) {
        status = weft_lines_next(lines, &line, &n_bytes);
        if (status != WEFT_OK || !line) break;
        status = add_line(bpe, line, n_bytes, path, weft_lines_number(lines));
    }
    return status;
}

weft_status weft_bpe_read(const char *path, weft_bpe **bpe)
{
    *bpe = NULL;
    weft_lines *lines = NULL;
    weft_status status = weft_lines_open(path, &lines);
    if (status != WEFT_OK) return status;
    weft_bpe *read = weft_bpe_new();
    status = read ? read_lines(lines, path, read) : WEFT_ERR_MEMORY;
    weft_lines_free(lines);
    if (status == WEFT_OK) {
        *bpe = read;
    } else {
        weft_bpe_free(read);
    }
    return status;
}

size_t weft_bpe_lines_bytes(const weft_bpe *bpe)
{
    size_t n_bytes = 0;
    for (size_t i = 0; i < bpe->n; i++) {
        n_bytes += bpe->symbols.at[bpe->merges[i].result].n_bytes + 2;
    }
    return n_bytes;
}

static char *put_symbol(const weft_bpe *bpe, int32_t symbol, char end, char *out)
{
    const size_t n_bytes = bpe->symbols.at[symbol].n_bytes;
    memcpy(out, weft_strings_text(&bpe->symbols, symbol), n_bytes);
    out[n_bytes] = end;
    return out + n_bytes + 1;
}

char *weft_bpe_write_lines(const weft_bpe *bpe, char *out)
{
    for (size_t i = 0; i < bpe->n; i++) {
        out = put_symbol(bpe, bpe->merges[i].left, ' ', out);
        out = put_symbol(bpe, bpe->merges[i].right, '\n', out);
    }
    return out;
}

char *weft_bpe_write(const weft_bpe *bpe)
{
    char *text = weft_alloc(sizeof version + 1 + weft_bpe_lines_bytes(bpe), 1);
    if (!text) return NULL;
    memcpy(text, version, sizeof version - 1);
    text[sizeof version - 1] = '\n';
    *weft_bpe_write_lines(bpe, text + sizeof version) = '\0';
    return text;
}

weft_status weft_bpe_copy(const weft_bpe *bpe, weft_bpe **copy)
{
    *copy = NULL;
    weft_bpe *made = weft_bpe_new();
    weft_status status = made ? WEFT_OK : WEFT_ERR_MEMORY;
    for (size_t i = 0; i < bpe->n && status == WEFT_OK; i++) {
        const weft_string *left = &bpe->symbols.at[bpe->merges[i].left];
        const weft_string *right = &bpe->symbols.at[bpe->merges[i].right];
        status = weft_bpe_add(made, bpe->symbols.bytes + left->begin, left->n_bytes,
                              bpe->symbols.bytes + right->begin, right->n_bytes);
    }
    if (status == WEFT_OK) {
        *copy = made;
    } else {
        weft_bpe_free(made);
    }
    return status;
}

/* ---- a text --------------------------------------------------------------------------------- */

/* Text that grows. */
typedef struct growing {
    char *text;
    size_t n_bytes, room;
} growing;

static weft_status put_pieces(const weft_bpe_work *work, const char *word, size_t n_bytes,
                              growing *out)
{
    const size_t need = n_bytes + (size_t)work->n_pieces * (WEFT_BPE_MARK_BYTES + 1) + 1;
    char *text = weft_grow(out->text, &out->room, out->n_bytes + need, 1);
    if (!text) return WEFT_ERR_MEMORY;
    out->text = text;
    text += out->n_bytes;
    for (int32_t i = 0; i < work->n_pieces; i++) {
        const weft_bpe_piece *piece = &work->pieces[i];
        if (text > out->text) *text++ = ' ';
        memcpy(text, word + piece->begin, (size_t)piece->n_bytes);
        text += piece->n_bytes;
        if (i + 1 == work->n_pieces) break;
        memcpy(text, WEFT_BPE_MARK, WEFT_BPE_MARK_BYTES);
        text += WEFT_BPE_MARK_BYTES;
    }
    *text = '\0';
    out->n_bytes = (size_t)(text - out->text);
    return WEFT_OK;
}

static weft_status apply(const weft_bpe *bpe, weft_bpe_work *work, weft_token_walk *walk,
                         const char *text, growing *out)
{
    weft_status status = weft_token_start(walk, text);
    while (status == WEFT_OK) {
        status = weft_token_next(walk);
        if (status != WEFT_OK || !walk->token) break;
        status = weft_bpe_cut(bpe, work, walk->token, walk->n_bytes);
        if (status == WEFT_OK) status = put_pieces(work, walk->token, walk->n_bytes, out);
    }
    return status;
}

weft_status weft_bpe_apply(const weft_bpe *bpe, const weft_bpe_apply_spec *spec, const char *text,
                           char **cut)
{
    static const weft_bpe_apply_spec plain = { .tokens = WEFT_TOKENS_SPACE };
    if (!spec) spec = &plain;
    *cut = NULL;
    if (!(spec->dropout.p >= 0 && spec->dropout.p < 1) || spec->tokens == WEFT_TOKENS_CHARS) {
        return weft_error(WEFT_ERR_RANGE,
                          "BPE cuts words (not %s), and its dropout %g lies in [0, 1)",
                          weft_tokens_kind_name(spec->tokens), spec->dropout.p);
    }
    weft_status status = weft_vocab_check_text(text);
    if (status != WEFT_OK) return status;
    weft_bpe_work work = { .dropout = spec->dropout };
    weft_token_walk walk = { .kind = spec->tokens, .lowercase = spec->lowercase };
    growing out = { .text = weft_alloc(16, 1), .room = 16 }; /* "" where there is no word */
    status = out.text ? apply(bpe, &work, &walk, text, &out) : WEFT_ERR_MEMORY;
    weft_bpe_work_free(&work);
    weft_token_end(&walk);
    if (status == WEFT_OK) {
        *cut = out.text;
    } else {
        weft_free(out.text);
    }
    return status;
}
