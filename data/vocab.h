/* vocab.h - text to ids and back: words, words with punctuation split off, pieces of words, or
 * characters. */
#ifndef WEFT_DATA_VOCAB_H
#define WEFT_DATA_VOCAB_H

#include "../core/core.h"

/* The first ids of every vocabulary. Text never becomes BOS or EOS, whatever it spells. */
enum { WEFT_UNK = 0, WEFT_BOS = 1, WEFT_EOS = 2, WEFT_N_SPECIALS = 3 }; /* <unk> <s> </s> */

/* How text is cut into tokens. First it is normalised (Unicode's NFC): what looks alike is alike,
 * and comes back so. Where more than 30 combining marks stand in a row, U+034F, which nobody sees,
 * parts them. White space is the six ASCII characters of isspace().
 *
 * WEFT_TOKENS_SPACE: words between white space; detokenised with one space between words.
 *
 * WEFT_TOKENS_PUNCT: as SPACE, and a character that is no letter, mark or digit becomes a token of
 * its own; a joiner (U+FFED, as in OpenNMT's Tokenizer) says on which side it touched its
 * neighbour:   He said: "Don't pay 3.50 (net)!"
 *           -> He said ￭: "￭ Don ￭'t pay 3.50 (￭ net ￭) ￭! ￭"
 * An apostrophe (' or U+2019) between letters begins a token that runs to the end of the word, as
 * in Moses' rules for English; '.' and ',' between ASCII digits belong to the number. Where two
 * tokens touch exactly one of them is marked: the right one if it is punctuation, else the left
 * one; words carry no mark, so that "net" is the same token everywhere. U+FFED in the text itself
 * is written U+FFEE 1, and U+FFEE is written U+FFEE 0. A text may be the beginning of one: an opening
 * bracket at its end, or a quotation mark there that no character touches, is marked as before a
 * word. Detokenising gives the text back exactly,
 * but for runs of white space, which become one space, and those at the ends, which are dropped.
 * A joiner within a token, which no text gives but a model may, is dropped.
 *
 * WEFT_TOKENS_CHARS: code points, white space included; the exact inverse. */
typedef enum weft_tokens_kind {
    WEFT_TOKENS_SPACE,
    WEFT_TOKENS_PUNCT,
    WEFT_TOKENS_CHARS
} weft_tokens_kind;

const char *weft_tokens_kind_name(weft_tokens_kind kind); /* "space", "punct", "chars" */
/** The kind of that name; WEFT_ERR_INPUT with the three names otherwise. */
weft_status weft_tokens_kind_parse(const char *name, weft_tokens_kind *kind) WEFT_MUST_CHECK;

/* With codes of byte pair encoding (bpe.h) each of those words is cut into pieces, which are the
 * tokens: "lo@@" goes on, "w" ends a word. Then no text is unknown. A piece without an id is cut as
 * it was before its last merge, and so on; a character without one is spelt in bytes of UTF-8,
 * which have the ids from WEFT_FIRST_BYTE on, and where it ends its word the byte 0x20 follows. (A
 * last piece of a word that itself ends in "@@" has no id, or it would read as one that goes on.)
 * Decoding puts U+FFFD where bytes are not UTF-8, and for a white space that no word can hold. */
typedef struct weft_bpe weft_bpe;
enum { WEFT_FIRST_BYTE = WEFT_N_SPECIALS, WEFT_N_BYTES = 256 };

typedef struct weft_vocab_spec {
    weft_tokens_kind tokens;
    bool lowercase;    /* Unicode's simple lower case, code point by code point, normalised again */
    int64_t min_count; /* rarer tokens get no id; 0 and 1 keep all */
    int64_t max_size;  /* at most so many ids, specials and bytes included; 0: no limit */
    const weft_bpe *bpe; /* codes, which are copied; NULL for whole words or characters */
    bool bpe_symbols;    /* every symbol of the codes gets an id, however rare: what BPE-dropout
                            meets in training */
} weft_vocab_spec;

/* Life: new, count the training text, build; from then on it is read only, and encode, decode, id
 * and token may be called from several threads. */
typedef struct weft_vocab weft_vocab;

/** WEFT_ERR_RANGE for a wrong spec (max_size must leave room for a token, characters have no
 *  codes); *vocab is then NULL. */
weft_status weft_vocab_new(const weft_vocab_spec *spec, weft_vocab **vocab) WEFT_MUST_CHECK;
void weft_vocab_free(weft_vocab *vocab); /* NULL is allowed */

/** Count the tokens of `text` (valid UTF-8). Count both sides of a corpus for a joint vocabulary.
 *  WEFT_ERR_STATE once built. */
weft_status weft_vocab_count(weft_vocab *vocab, const char *text) WEFT_MUST_CHECK;
/** Count what `words`, of the same kind, without codes and not yet built, has counted: for a
 *  vocabulary with codes that were learnt from it. WEFT_ERR_STATE. */
weft_status weft_vocab_count_words(weft_vocab *vocab, const weft_vocab *words) WEFT_MUST_CHECK;
/** Give out the ids: by falling count, equal counts by rising bytes of UTF-8. */
weft_status weft_vocab_build(weft_vocab *vocab) WEFT_MUST_CHECK;

bool weft_vocab_is_built(const weft_vocab *vocab);
int64_t weft_vocab_size(const weft_vocab *vocab); /* V, specials included; of 0 .. V-1 */
weft_vocab_spec weft_vocab_get_spec(const weft_vocab *vocab); /* its codes are the vocabulary's */
/** The token of an id, joiners and all; "<0x41>" for a byte. NULL out of range. Lives as long as the
 *  vocabulary. */
const char *weft_vocab_token(const weft_vocab *vocab, int64_t id);
/** The id of a token, WEFT_UNK where it has none. The names of specials and bytes are no tokens. */
int32_t weft_vocab_id(const weft_vocab *vocab, const char *token);

/** The text as the vocabulary reads it, in new memory (weft_free): normalised, in lower case where
 *  it is, and, but for characters, with one space for a run of white space and none at the ends. What
 *  has no unknown tokens is this after encoding and decoding. WEFT_ERR_INPUT if the text is not UTF-8;
 *  *normal is then NULL. */
weft_status weft_vocab_normalise(const weft_vocab *vocab, const char *text,
                                 char **normal) WEFT_MUST_CHECK;

/** text -> ids, without BOS and EOS, *n_ids of them in new memory that weft_free gives back.
 *  WEFT_ERR_STATE before build, WEFT_ERR_INPUT if the text is not UTF-8; *ids is then NULL. */
weft_status weft_vocab_encode(const weft_vocab *vocab, const char *text, int32_t **ids,
                              int64_t *n_ids) WEFT_MUST_CHECK;
/** ids -> text, detokenised. BOS and EOS give nothing, UNK gives "<unk>". WEFT_ERR_RANGE for an id
 *  out of range; *text is then NULL. The caller frees it with weft_free. */
weft_status weft_vocab_decode(const weft_vocab *vocab, const int32_t *ids, int64_t n_ids,
                              char **text) WEFT_MUST_CHECK;

/** The same, but words[i] stands for the i-th id where it is not NULL: a token of its kind, for
 *  vocabularies without codes (WEFT_ERR_STATE otherwise). */
weft_status weft_vocab_decode_with(const weft_vocab *vocab, const int32_t *ids, int64_t n_ids,
                                   const char *const words[], char **text) WEFT_MUST_CHECK;
/** The tokens that weft_vocab_encode gives ids to, also those that have none: *n texts, all in one new
 *  block of memory (weft_free). WEFT_ERR_STATE for a vocabulary with codes, to which none is unknown;
 *  WEFT_ERR_INPUT if the text is not UTF-8. */
weft_status weft_vocab_cut(const weft_vocab *vocab, const char *text, const char ***tokens,
                           int64_t *n) WEFT_MUST_CHECK;

/** The vocabulary as text: a line "weft-vocab 1 tokens=punct lowercase=0", then one token a line in
 *  the order of ids, '\n' written \n and '\' written \\. With codes "weft-vocab 2 tokens=punct
 *  lowercase=0 merges=N" and N lines of merges before the tokens. What has done its work (min_count,
 *  max_size, bpe_symbols) is not in it. NULL when memory ran out; weft_free gives it back. */
char *weft_vocab_write(const weft_vocab *vocab) WEFT_MUST_CHECK;
/** The inverse. WEFT_ERR_FORMAT with `name` and line for another header, missing specials or bytes,
 *  an empty or repeated token, a wrong escape or merge, text that is not UTF-8; *vocab is then NULL. */
weft_status weft_vocab_parse(const char *text, const char *name,
                             weft_vocab **vocab) WEFT_MUST_CHECK;

#endif
