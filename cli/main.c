/* main.c - the program `weft`: its subcommands, one a line. */
#include "cli/cli.h"
#include "cli/dispatch.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const weft_cli_subcommand subcommands[] = {
    { "train", weft_cli_train, "train a model, or go on with a run" },
    { "translate", weft_cli_translate, "translate sentences with a trained model" },
    { "generate", weft_cli_generate, "go on from a prompt with a trained decoder-only model" },
    { "average", weft_cli_average, "one model from several checkpoints of a run" },
    { "convert", weft_cli_convert, "a trained model in another form" },
    { "logprob", weft_cli_logprob,
      "how likely a trained model finds given translations, or a text" },
    { "inspect", weft_cli_inspect, "what a checkpoint holds, and whether it is whole" },
    { "check", weft_cli_check, "is the model of a configuration what it should be?" },
    { "plan", weft_cli_plan, "how much memory a training step will take" },
    { "score", weft_cli_score, "BLEU, chrF or exact match of hypotheses against references" },
    { "report", weft_cli_report, "what a run has to tell, as one page of HTML" },
    { "gradcheck", weft_cli_gradcheck, "are the gradients of the operations right?" },
    { "bpe", weft_cli_bpe, "learn byte pair encoding from text, and cut text by it" },
    { "bench", weft_cli_bench, "how fast parts of weft run on this machine" },
};

int weft_cli_fail(const char *command, weft_status status)
{
    fprintf(stderr, "weft %s: %s\n", command, weft_message());
    switch (status) {
    case WEFT_OK: return WEFT_EXIT_DONE;
    case WEFT_ERR_NUMERIC: return WEFT_EXIT_NO;
    case WEFT_ERR_MEMORY:
    case WEFT_ERR_IO: return WEFT_EXIT_SYSTEM;
    default: return WEFT_EXIT_USE;
    }
}

static int run(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        printf("weft %s\n", WEFT_VERSION);
        return WEFT_EXIT_DONE;
    }
    return weft_cli_dispatch("weft", "Train transformers, look at them, and use them.",
                             sizeof subcommands / sizeof *subcommands, subcommands, argc, argv);
}

/* How long gcc's OpenMP spins before a thread that waits gives up its processor is read from the
 * environment as the library is loaded, before main. By default it is milliseconds: fine on an idle
 * machine, but where another process runs beside weft a step was seen to take ten times as long.
 * A thousand turns, some microseconds, cost an idle machine nothing. So begin
 * anew with that, unless the user has said how to wait. */
static void wait_briefly(char **argv)
{
    if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY")) return;
    char self[4096]; /* by its own name: a process named "exe" would puzzle who looks for it */
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self);
    if (n <= 0 || (size_t)n == sizeof self || setenv("GOMP_SPINCOUNT", "1000", 1) != 0) return;
    self[n] = '\0';
    (void)execv(self, argv);
}

/* Standard descriptors that were closed must not become those of files: what is meant for the terminal
 * would be written into one, or it would be read as the input. Open the wrong way round, so that their
 * use fails. */
static void occupy_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0) (void)open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
    occupy_descriptors();
    wait_briefly(argv); /* where it cannot, nothing but speed is lost */
    /* A limit on the size of files (ulimit -f) must become a failed write and its sentence; unless
     * ignored, the signal ends the process in the middle of a save. */
    signal(SIGXFSZ, SIG_IGN);
    const int exit_code = run(argc, argv);
    if (fflush(stdout) == 0 && !ferror(stdout)) return exit_code;
    fprintf(stderr, "weft: the standard output could not be written\n");
    return WEFT_EXIT_SYSTEM;
}
