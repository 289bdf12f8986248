/* The least that a program can spend on a conference's packets: what the benchmarks hold the server against.
 *
 * Every 20 ms: take what arrived at each port with recvmmsg(2), send one shared packet of G.711 (172 octets) to every
 * listener with sendmmsg(2). No SIP, no mixing, no jitter buffer, no codec, one thread.
 *
 *   floor SECONDS WARM-UP ADDRESS PORT...     with on standard input
 *   to P HOST PORT                            a listener, served from the P-th port
 *   filter P CODE JT JF K                     an instruction of the P-th port's kernel filter
 *
 * After WARM-UP, and each second from then on for SECONDS, prints the moment (s of CLOCK_MONOTONIC) and, since the start:
 * CPU seconds, packets sent, refused by the system, received, and ticks that came a whole period late.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { PORTS = 64, BATCH = 1024, PACKET = 172, WIDTH = 2048, BUFFER = 8 << 20, PERIOD = 20 * 1000 * 1000, INSTRUCTIONS = 4096 };

struct port {
    int descriptor;
    int count, room;
    struct sockaddr_in *listeners;
    struct mmsghdr *messages;
    int instructions;
    struct sock_filter filter[INSTRUCTIONS];
};

static struct port ports[PORTS];
static int port_count;
static unsigned char packet[PACKET];
static struct iovec shared = {packet, PACKET};
static unsigned char room[BATCH][WIDTH];
static struct sockaddr_in sources[BATCH];
static struct iovec parts[BATCH];
static struct mmsghdr arrived[BATCH];
static long long sent, unsent, received, late;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void open_port(struct port *port, const char *host, int number) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(number)};
    int size = BUFFER;
    if (!inet_aton(host, &address.sin_addr))
        fail(host);
    port->descriptor = socket(AF_INET, SOCK_DGRAM, 0);
    if (port->descriptor < 0 || bind(port->descriptor, (struct sockaddr *)&address, sizeof address) < 0)
        fail("bind");
    /* As the server asks: more than the system's limit when that is allowed. */
    if (setsockopt(port->descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
        setsockopt(port->descriptor, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (setsockopt(port->descriptor, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
        setsockopt(port->descriptor, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

static struct port *port_of(unsigned index) {
    if (index >= (unsigned)port_count) {
        fprintf(stderr, "there is no port %u\n", index);
        exit(1);
    }
    return &ports[index];
}

static void add_listener(unsigned index, const char *host, int number) {
    struct port *port = port_of(index);
    if (port->count == port->room) {
        port->room = port->room ? 2 * port->room : BATCH;
        port->listeners = realloc(port->listeners, port->room * sizeof *port->listeners);
        if (!port->listeners)
            fail("realloc");
    }
    struct sockaddr_in *listener = &port->listeners[port->count++];
    *listener = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(number)};
    if (!inet_aton(host, &listener->sin_addr))
        fail(host);
}

static void read_plan(void) {
    char word[16], host[64];
    unsigned index, code, yes, no, constant;
    int number;
    while (scanf("%15s %u", word, &index) == 2) {
        if (!strcmp(word, "to") && scanf("%63s %d", host, &number) == 2) {
            add_listener(index, host, number);
        } else if (!strcmp(word, "filter") && scanf("%u %u %u %u", &code, &yes, &no, &constant) == 4) {
            struct port *port = port_of(index);
            if (port->instructions == INSTRUCTIONS)
                fail("filter");
            port->filter[port->instructions++] = (struct sock_filter){code, yes, no, constant};
        } else {
            fprintf(stderr, "not understood: %s\n", word);
            exit(1);
        }
    }
}

static void prepare(struct port *port) {
    port->messages = calloc(port->count + 1, sizeof *port->messages);
    if (!port->messages)
        fail("calloc");
    for (int i = 0; i < port->count; i++) {
        struct msghdr *head = &port->messages[i].msg_hdr;
        head->msg_name = &port->listeners[i];
        head->msg_namelen = sizeof port->listeners[i];
        head->msg_iov = &shared;
        head->msg_iovlen = 1;
    }
    if (port->instructions) {
        struct sock_fprog program = {port->instructions, port->filter};
        if (setsockopt(port->descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0)
            fail("SO_ATTACH_FILTER");
    }
}

static void prepare_arrivals(void) {
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){room[i], WIDTH};
        arrived[i].msg_hdr.msg_iov = &parts[i];
        arrived[i].msg_hdr.msg_iovlen = 1;
        arrived[i].msg_hdr.msg_name = &sources[i];
        arrived[i].msg_hdr.msg_namelen = sizeof sources[i];
    }
}

static void receive(int descriptor) {
    int got;
    do {
        got = recvmmsg(descriptor, arrived, BATCH, MSG_DONTWAIT, NULL);
        if (got > 0)
            received += got;
    } while (got == BATCH);
}

static void send_all(struct port *port) {
    int done = 0;
    while (done < port->count) {
        int batch = port->count - done < BATCH ? port->count - done : BATCH;
        int got = sendmmsg(port->descriptor, port->messages + done, batch, 0);
        if (got < 0) {
            if (errno == EINTR)
                continue;
            unsent++;
            got = 1;
        } else {
            sent += got;
        }
        done += got;
    }
}

/* The header of RFC 3550 of the next packet: its payload, the silence of PCMU, stays as it is. */
static void advance(uint32_t tick) {
    uint16_t sequence = htons(tick);
    uint32_t timestamp = htonl(tick * 160), source = htonl(0xF1008);
    packet[0] = 0x80;
    packet[1] = 0;
    memcpy(packet + 2, &sequence, 2);
    memcpy(packet + 4, &timestamp, 4);
    memcpy(packet + 8, &source, 4);
}

static long long nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void report(void) {
    struct timespec cpu;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    printf("%.6f %.6f %lld %lld %lld %lld\n", nanoseconds() * 1e-9, cpu.tv_sec + cpu.tv_nsec * 1e-9, sent, unsent,
           received, late);
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc < 5 || argc > 4 + PORTS) {
        fprintf(stderr, "usage: floor SECONDS WARM-UP ADDRESS PORT... <plan\n");
        return 2;
    }
    uint32_t measured = atof(argv[1]) * 50, warm = atof(argv[2]) * 50;
    for (int i = 4; i < argc; i++)
        open_port(&ports[port_count++], argv[3], atoi(argv[i]));
    read_plan();
    memset(packet, 0xFF, PACKET);
    for (int i = 0; i < port_count; i++)
        prepare(&ports[i]);
    prepare_arrivals();
    long long due = nanoseconds();
    for (uint32_t tick = 0; tick <= warm + measured; tick++) {
        if (tick >= warm && (tick - warm) % 50 == 0)
            report();
        due += PERIOD;
        struct timespec wake = {due / 1000000000, due % 1000000000};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wake, NULL) == EINTR) {
        }
        late += nanoseconds() - due > PERIOD;
        for (int i = 0; i < port_count; i++)
            receive(ports[i].descriptor);
        advance(tick);
        for (int i = 0; i < port_count; i++)
            send_all(&ports[i]);
    }
    return 0;
}
