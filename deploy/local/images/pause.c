/* The process that holds a pod's, or a whole cluster's, namespaces open. As process 1 of a PID namespace it also
 * inherits every orphan in it, so it has to collect them: a cluster lives for days and zombies fill the PID table. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void collect_orphans(int signal_number) {
    (void)signal_number;
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
}

static void leave(int signal_number) {
    (void)signal_number;
    _exit(0);
}

int main(void) {
    struct sigaction collect = {.sa_handler = collect_orphans, .sa_flags = SA_NOCLDSTOP | SA_RESTART};
    struct sigaction end = {.sa_handler = leave};
    sigaction(SIGCHLD, &collect, NULL);
    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGINT, &end, NULL);
    for (;;) {
        pause();
    }
}
