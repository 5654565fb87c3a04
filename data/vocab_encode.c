/* vocab_encode.c - text to ids and back, by a vocabulary that is built. */
#include "data/vocab_internal.h"

#include <assert.h>
#include <string.h>

#include "data/grow_internal.h"
#include "data/text.h"

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */
enum { REPLACEMENT_BYTES = 3, NOT_UTF8 = 0xFF };

void weft_encoder_init(weft_encoder *encoder, const weft_vocab *vocab)
{
    encoder->walk.kind = vocab->spec.tokens;
    encoder->walk.lowercase = vocab->spec.lowercase;
}

void weft_encoder_free(weft_encoder *encoder)
{
    weft_token_end(&encoder->walk);
    weft_bpe_work_free(&encoder->cut);
    weft_free(encoder->token);
    weft_free(encoder->pieces);
    weft_free(encoder->ids);
    *encoder = (weft_encoder){ .n_ids = 0 };
}

static weft_status put_id(weft_encoder *encoder, int32_t id)
{
    int32_t *ids =
        weft_grow(encoder->ids, &encoder->ids_room, (size_t)encoder->n_ids + 1, sizeof *ids);
    if (!ids) return WEFT_ERR_MEMORY;
    encoder->ids = ids;
    ids[encoder->n_ids++] = id;
    return WEFT_OK;
}

/* ---- pieces of words ------------------------------------------------------------------------- */

weft_status weft_encoder_room(weft_encoder *encoder, size_t n_bytes)
{
    char *token = weft_grow(encoder->token, &encoder->token_room, n_bytes + WEFT_BPE_MARK_BYTES, 1);
    if (!token) return WEFT_ERR_MEMORY;
    encoder->token = token;
    return WEFT_OK;
}

weft_status weft_encoder_cut(const weft_vocab *vocab, weft_encoder *encoder, const char *word,
                             size_t n_bytes)
{
    const weft_status status = weft_encoder_room(encoder, n_bytes);
    return status == WEFT_OK ? weft_bpe_cut(vocab->bpe, &encoder->cut, word, n_bytes) : status;
}

bool weft_encoder_name(weft_encoder *encoder, const char *piece, size_t n_bytes, bool last,
                       size_t *n_name)
{
    const size_t n_mark = WEFT_BPE_MARK_BYTES;
    memcpy(encoder->token, piece, n_bytes);
    if (!last) memcpy(encoder->token + n_bytes, WEFT_BPE_MARK, n_mark);
    *n_name = n_bytes + (last ? 0 : n_mark);
    return !last || n_bytes < n_mark ||
           memcmp(encoder->token + n_bytes - n_mark, WEFT_BPE_MARK, n_mark) != 0;
}

static weft_status spell(weft_encoder *encoder, const char *bytes, int32_t n_bytes, bool last)
{
    weft_status status = WEFT_OK;
    for (int32_t i = 0; i < n_bytes && status == WEFT_OK; i++) {
        status = put_id(encoder, WEFT_FIRST_BYTE + (unsigned char)bytes[i]);
    }
    return status == WEFT_OK && last ? put_id(encoder, WEFT_FIRST_BYTE + ' ') : status;
}

/* The id of the last of encoder->pieces, or what it is cut into instead. */
static weft_status put_piece(const weft_vocab *vocab, weft_encoder *encoder, const char *word,
                             size_t n_bytes, size_t *n_pieces)
{
    const weft_bpe_piece piece = encoder->pieces[--*n_pieces];
    const bool last = (size_t)piece.begin + (size_t)piece.n_bytes == n_bytes;
    size_t n_name;
    const bool is_token =
        weft_encoder_name(encoder, word + piece.begin, (size_t)piece.n_bytes, last, &n_name);
    const int32_t id = is_token ? weft_strings_find(&vocab->tokens, encoder->token, n_name) : -1;
    if (id >= 0) return put_id(encoder, id);
    weft_bpe_piece left, right;
    if (!weft_bpe_undo(vocab->bpe, &piece, &left, &right))
        return spell(encoder, word + piece.begin, piece.n_bytes, last);
    encoder->pieces[(*n_pieces)++] = right;
    encoder->pieces[(*n_pieces)++] = left;
    return WEFT_OK;
}

static weft_status put_word(const weft_vocab *vocab, weft_encoder *encoder, const char *word,
                            size_t n_bytes)
{
    weft_bpe_work *cut = &encoder->cut;
    weft_status status = weft_encoder_cut(vocab, encoder, word, n_bytes);
    if (status != WEFT_OK) return status;
    /* As many as the word has bytes: each of them holds one at least. */
    weft_bpe_piece *pieces =
        weft_grow(encoder->pieces, &encoder->pieces_room, n_bytes, sizeof *pieces);
    if (!pieces) return WEFT_ERR_MEMORY;
    encoder->pieces = pieces;
    size_t n = 0;
    for (int32_t i = cut->n_pieces - 1; i >= 0; i--) pieces[n++] = cut->pieces[i];
    while (n > 0 && status == WEFT_OK) status = put_piece(vocab, encoder, word, n_bytes, &n);
    return status;
}

/* ---- text to ids ----------------------------------------------------------------------------- */

weft_status weft_encode(const weft_vocab *vocab, weft_encoder *encoder, const char *text)
{
    weft_token_walk *walk = &encoder->walk;
    encoder->cut.n_drawn = 0;
    weft_status status = weft_token_start(walk, text);
    while (status == WEFT_OK) {
        status = weft_token_next(walk);
        if (status != WEFT_OK || !walk->token) return status;
        if (vocab->bpe) {
            status = put_word(vocab, encoder, walk->token, walk->n_bytes);
        } else {
            const int32_t id = weft_strings_find(&vocab->tokens, walk->token, walk->n_bytes);
            status = put_id(encoder, id < 0 ? WEFT_UNK : id);
        }
    }
    return status;
}

weft_status weft_vocab_check_text(const char *text)
{
    const size_t n_bytes = strlen(text), bad = weft_utf8_check(text, n_bytes);
    if (bad == n_bytes) return WEFT_OK;
    return weft_error(WEFT_ERR_INPUT, "byte %zu of the text (0x%02X) is not valid UTF-8", bad + 1,
                      (unsigned)(unsigned char)text[bad]);
}

weft_status weft_vocab_encode(const weft_vocab *vocab, const char *text, int32_t **ids,
                              int64_t *n_ids)
{
    *ids = NULL;
    *n_ids = 0;
    if (!vocab->built) {
        return weft_error(WEFT_ERR_STATE, "the vocabulary is not built: it has no ids yet");
    }
    weft_status status = weft_vocab_check_text(text);
    if (status != WEFT_OK) return status;
    enum { FIRST_ROOM = 16 }; /* so that no ids, too, are memory of the caller's */
    weft_encoder encoder = { .ids = weft_alloc(FIRST_ROOM, sizeof **ids), .ids_room = FIRST_ROOM };
    weft_encoder_init(&encoder, vocab);
    status = encoder.ids ? weft_encode(vocab, &encoder, text) : WEFT_ERR_MEMORY;
    if (status == WEFT_OK) {
        *ids = encoder.ids;
        *n_ids = encoder.n_ids;
        encoder.ids = NULL;
    }
    weft_encoder_free(&encoder);
    return status;
}

/* ---- text as it is read ---------------------------------------------------------------------- */

/* The words of a walk that has begun, joined again. */
static weft_status join_words(weft_token_walk *walk, char **out)
{
    size_t n = 0, room = 0;
    bool glued = true;
    for (;;) {
        const weft_status status = weft_token_next(walk);
        if (status != WEFT_OK) return status;
        char *grown = weft_grow(*out, &room, n + walk->n_bytes + 2, 1); /* a space, and the end */
        if (!grown) return WEFT_ERR_MEMORY;
        *out = grown;
        if (!walk->token) break;
        weft_token_join(walk->kind, walk->token, walk->n_bytes, &glued, grown, &n);
    }
    (*out)[n] = '\0';
    return WEFT_OK;
}

weft_status weft_vocab_normalise(const weft_vocab *vocab, const char *text, char **normal)
{
    /* Punctuation comes back where it stood, so words between spaces will do for it, too. */
    const bool chars = vocab->spec.tokens == WEFT_TOKENS_CHARS;
    weft_token_walk walk = { .kind = chars ? WEFT_TOKENS_CHARS : WEFT_TOKENS_SPACE,
                             .lowercase = vocab->spec.lowercase };
    *normal = NULL;
    weft_status status = weft_vocab_check_text(text);
    if (status == WEFT_OK) status = weft_token_start(&walk, text);
    if (status == WEFT_OK) status = join_words(&walk, normal);
    weft_token_end(&walk);
    if (status == WEFT_OK) return WEFT_OK;
    weft_free(*normal);
    *normal = NULL;
    return status;
}

/* ---- text to tokens -------------------------------------------------------------------------- */

static weft_status check_words(const weft_vocab *vocab)
{
    if (!vocab->bpe) return WEFT_OK;
    return weft_error(WEFT_ERR_STATE,
                      "the vocabulary has pieces of words and bytes: to it nothing is unknown");
}

/* Walk over the text: how many tokens, and bytes with their ends; where `tokens` is given, fill it and
 * the text behind it. */
static weft_status walk_tokens(const weft_vocab *vocab, const char *text, const char **tokens,
                               char *to, int64_t *n, size_t *n_bytes)
{
    weft_token_walk walk = { .kind = vocab->spec.tokens, .lowercase = vocab->spec.lowercase };
    weft_status status = weft_token_start(&walk, text);
    *n = 0;
    *n_bytes = 0;
    while (status == WEFT_OK && (status = weft_token_next(&walk)) == WEFT_OK && walk.token) {
        if (tokens) {
            memcpy(to + *n_bytes, walk.token, walk.n_bytes);
            to[*n_bytes + walk.n_bytes] = '\0';
            tokens[*n] = to + *n_bytes;
        }
        *n_bytes += walk.n_bytes + 1;
        ++*n;
    }
    weft_token_end(&walk);
    return status;
}

weft_status weft_vocab_cut(const weft_vocab *vocab, const char *text, const char ***tokens,
                           int64_t *n)
{
    size_t n_bytes;
    *tokens = NULL;
    *n = 0;
    weft_status status = check_words(vocab);
    if (status == WEFT_OK) status = weft_vocab_check_text(text);
    if (status == WEFT_OK) status = walk_tokens(vocab, text, NULL, NULL, n, &n_bytes);
    if (status != WEFT_OK) return status;
    const size_t n_table = (size_t)*n * sizeof **tokens;
    const char **const table = weft_alloc(n_table + n_bytes, 1);
    if (!table) return WEFT_ERR_MEMORY;
    status = walk_tokens(vocab, text, table, (char *)table + n_table, n, &n_bytes);
    if (status == WEFT_OK)
        *tokens = table;
    else
        weft_free(table);
    return status;
}

/* ---- ids to text ----------------------------------------------------------------------------- */

/* A text on its way: words that are whole, and from `word` on the pieces of the next one. */
typedef struct decoder {
    const weft_vocab *vocab;
    char *out, *word;
    size_t n_out, n_word;
    bool begun; /* there is a next word */
    bool glued; /* for weft_token_join */
} decoder;

static void put(char *to, size_t *n, const char *from, size_t n_bytes)
{
    memcpy(to + *n, from, n_bytes);
    *n += n_bytes;
}

/* The word's end: make it valid UTF-8 and join it to the text. */
static void end_word(decoder *d)
{
    if (!d->begun) return;
    char *valid = d->word + d->n_word; /* behind it is room for as much again */
    size_t n_valid = 0;
    for (size_t i = 0; i < d->n_word;) {
        const size_t n_good = weft_utf8_check(d->word + i, d->n_word - i);
        put(valid, &n_valid, d->word + i, n_good);
        i += n_good;
        if (i++ < d->n_word) put(valid, &n_valid, replacement, REPLACEMENT_BYTES);
    }
    weft_token_join(d->vocab->spec.tokens, valid, n_valid, &d->glued, d->out, &d->n_out);
    d->n_word = 0;
    d->begun = false;
}

static void put_byte(decoder *d, int32_t byte)
{
    if (byte == ' ') {
        end_word(d);
        return;
    }
    const bool space = byte >= '\t' && byte <= '\r';
    const char c = (char)(space ? NOT_UTF8 : byte);
    put(d->word, &d->n_word, &c, 1);
    d->begun = true;
}

static void put_token(decoder *d, int32_t id)
{
    const char *token = weft_strings_text(&d->vocab->tokens, id);
    size_t n_bytes = d->vocab->tokens.at[id].n_bytes;
    if (!d->vocab->bpe) {
        weft_token_join(d->vocab->spec.tokens, token, n_bytes, &d->glued, d->out, &d->n_out);
        return;
    }
    if (id >= WEFT_FIRST_BYTE && id < WEFT_FIRST_BYTE + WEFT_N_BYTES) {
        put_byte(d, id - WEFT_FIRST_BYTE);
        return;
    }
    const size_t n_mark = WEFT_BPE_MARK_BYTES;
    const bool goes_on =
        n_bytes > n_mark && memcmp(token + n_bytes - n_mark, WEFT_BPE_MARK, n_mark) == 0;
    if (goes_on) n_bytes -= n_mark;
    put(d->word, &d->n_word, token, n_bytes);
    d->begun = true;
    if (!goes_on) end_word(d);
}

/* words: NULL, or what stands for some of the ids. */
static weft_status decode(const weft_vocab *vocab, const int32_t *ids, int64_t n_ids,
                          const char *const words[], char **text)
{
    *text = NULL;
    size_t need = 1;
    for (int64_t i = 0; i < n_ids; i++) {
        if (ids[i] < 0 || (size_t)ids[i] >= vocab->tokens.n) {
            return weft_error(WEFT_ERR_RANGE,
                              "id %d at place %lld is not in the vocabulary (0 .. %zu)",
                              (int)ids[i], (long long)i, vocab->tokens.n - 1);
        }
        /* A byte is named by six, which is more than U+FFFD needs. */
        need += vocab->tokens.at[ids[i]].n_bytes + 1;
        if (words && words[i]) need += strlen(words[i]) + 1;
    }
    decoder d = { .vocab = vocab, .glued = true };
    d.out = weft_alloc(need, 1);
    /* The word as it comes, and its valid form, in which a byte may have become three. */
    d.word = weft_alloc(vocab->bpe ? need : 0, 4);
    if (!d.out || !d.word) {
        weft_free(d.out);
        weft_free(d.word);
        return WEFT_ERR_MEMORY;
    }
    for (int64_t i = 0; i < n_ids; i++) {
        if (words && words[i])
            weft_token_join(vocab->spec.tokens, words[i], strlen(words[i]), &d.glued, d.out,
                            &d.n_out);
        else if (ids[i] != WEFT_BOS && ids[i] != WEFT_EOS)
            put_token(&d, ids[i]);
    }
    end_word(&d);
    weft_free(d.word);
    d.out[d.n_out] = '\0';
    *text = d.out;
    return WEFT_OK;
}

weft_status weft_vocab_decode(const weft_vocab *vocab, const int32_t *ids, int64_t n_ids,
                              char **text)
{
    return decode(vocab, ids, n_ids, NULL, text);
}

weft_status weft_vocab_decode_with(const weft_vocab *vocab, const int32_t *ids, int64_t n_ids,
                                   const char *const words[], char **text)
{
    *text = NULL;
    const weft_status status = check_words(vocab);
    return status == WEFT_OK ? decode(vocab, ids, n_ids, words, text) : status;
}
