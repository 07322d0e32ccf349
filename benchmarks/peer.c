/* A peer of an MLM broker that uses very little of the processor, so that the other end is measured. It uses ZeroMQ and
 * only the frames that it needs. Requests are numbered: the content and the tracker of request n are its 8 digits.
 *
 *     peer send ENDPOINT SERVICE SUBJECT FIRST COUNT WINDOW
 *         sends requests; with a WINDOW above 0, at most WINDOW of them unconfirmed, and waits until all are confirmed
 *     peer mark ENDPOINT SERVICE SUBJECT FIRST COUNT 0
 *         sends requests, then some whose script answers by mail, and waits for the first answer: then the requests
 *         have been executed, even on a system that sends no confirmations
 *     peer ask ENDPOINT SERVICE SUBJECT FIRST COUNT WINDOW
 *         sends requests, WINDOW of them in flight, and waits for the mail that answers each with its content
 *     peer take ENDPOINT SERVICE COUNT CREDIT
 *         offers a service, receives and confirms requests; a CREDIT of 0 makes a plain client, which confirms nothing
 *     peer count ENDPOINT MAILBOX STREAM COUNT
 *         waits until COUNT messages have come from a mailbox and COUNT from a stream, or most have and no more come
 *
 * Each prints "ready" when its connection is open, and at its end "start NS stop NS cpu NS" (start and stop by the
 * monotonic clock, cpu by the processor's clock), and then a line of latencies in microseconds, empty except for ask.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

enum { SILENCE = 0, OPEN = 1, PING = 2, PONG = 3, READ = 6, STREAM_DELIVER = 8, MAILBOX_DELIVER = 10, SERVICE_SEND = 11, OFFER = 12,
       DELIVER = 13, OK = 14, ERROR = 15, CREDIT = 16, CONFIRM = 17 };
enum { MARKS = 64, FIRST_OF_ALL = 10000000, NUMBERS = 90000000 };

static void *sock;
static uint8_t header[1024];
static int length;

static int64_t clock_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t now(void)
{
    return clock_of(CLOCK_MONOTONIC);
}

static void fail(const char *what)
{
    fprintf(stderr, "peer: %s\n", what);
    exit(1);
}

static void begin(int command)
{
    header[0] = 0xAA, header[1] = 0xA8, header[2] = (uint8_t)command;
    length = 3;
}

static void octets(const void *text, size_t size)
{
    header[length++] = (uint8_t)size;
    memcpy(header + length, text, size);
    length += (int)size;
}

static void string(const char *text)
{
    octets(text, strlen(text));
}

static void number(uint32_t value, int width)
{
    while (width--)
        header[length++] = (uint8_t)(value >> 8 * width);
}

static void leave(void)
{
    if (zmq_send(sock, header, (size_t)length, 0) < 0)
        fail("cannot send");
}

static void open_as(const char *address, int credit)
{
    begin(OPEN), string("MALAMUTE"), number(1, 2), string(address), leave();
    if (credit >= 0)
        begin(CREDIT), number((uint32_t)credit, 2), leave();
}

static void request(const char *service, const char *subject, long n, int is_tracked)
{
    char text[16];
    snprintf(text, sizeof text, "%08ld", n);
    begin(SERVICE_SEND), string(service), string(subject), string(is_tracked ? text : ""), number(0, 4);
    if (zmq_send(sock, header, (size_t)length, ZMQ_SNDMORE) < 0 || zmq_send(sock, text, 8, 0) < 0)
        fail("cannot send");
}

/* Receive a command: its header into got, the last frame of its content, if any, into last. Return its number. */
static uint8_t got[4096], last[65536];
static int got_size, last_size;

static int receive(void)
{
    int more;
    size_t size = sizeof more;
    got_size = zmq_recv(sock, got, sizeof got, 0);
    if (got_size < 0 && zmq_errno() == EAGAIN)
        return SILENCE;
    if (got_size < 3)
        fail("cannot receive");
    last_size = 0;
    for (;;) {
        zmq_getsockopt(sock, ZMQ_RCVMORE, &more, &size);
        if (!more)
            break;
        last_size = zmq_recv(sock, last, sizeof last, 0);
    }
    if (got[2] == ERROR)
        fail("the broker answers ERROR");
    return got[2];
}

static int answer(void)
{
    int command = receive();
    if (command == SILENCE)
        fail("no message has come in time");
    return command;
}

static void ready(int count)
{
    while (count)
        count -= answer() == OK;
    puts("ready");
    fflush(stdout);
}

static uint8_t *seen;
static long distinct;

static long parse(const uint8_t *text, int size, long first, long count)
{
    char digits[16] = "";
    if (size != 8)
        fail("received a content that was never sent");
    memcpy(digits, text, 8);
    long n = atol(digits) - first;
    if (n < 0 || n >= count)
        fail("received a number that was never sent");
    distinct += !seen[n];
    seen[n] = 1;
    return n;
}

static int64_t started, started_cpu;

static void start(void)
{
    started = now();
    started_cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID);
}

static void stop_at(int64_t end)
{
    printf("start %lld stop %lld cpu %lld\n", (long long)started, (long long)end,
           (long long)(clock_of(CLOCK_PROCESS_CPUTIME_ID) - started_cpu));
}

static void stop(void)
{
    stop_at(now());
}

static void send_all(const char *service, const char *subject, long first, long count, long window)
{
    open_as("", window ? 0 : -1);
    ready(1);
    start();
    long sent = 0;
    while (!window && sent < count)
        request(service, subject, first + sent++, 0);
    if (!window)
        begin(PING), leave(), answer();
    while (window && distinct < count) {
        while (sent < count && sent - distinct < window)
            request(service, subject, first + sent++, 1);
        if (answer() == CONFIRM) {
            int at = 4 + got[3], status = got[at] << 8 | got[at + 1];
            if (status >= 300)
                fail("a request was refused");
            if (status != 201)
                parse(got + 4, got[3], first, count);
        }
    }
    stop();
    puts("");
}

static void mark(const char *service, const char *subject, long first, long count)
{
    open_as("bench.reply", -1);
    ready(1);
    start();
    for (long sent = 0; sent < count; sent++)
        request(service, subject, first + sent, 0);
    for (int sent = 0; sent < MARKS; sent++)
        request(service, "reply", first, 0);
    char text[16];
    snprintf(text, sizeof text, "%08ld", first);
    /* Answers to the marks of an earlier run may still come. */
    while (answer() != MAILBOX_DELIVER || last_size != 8 || memcmp(last, text, 8))
        continue;
    stop();
    puts("");
}

static void ask_all(const char *service, const char *subject, long first, long count, long window)
{
    int64_t *began = calloc((size_t)count, sizeof *began);
    double *took = calloc((size_t)count, sizeof *took);
    open_as("bench.reply", -1);
    ready(1);
    start();
    long sent = 0;
    while (distinct < count) {
        while (sent < count && sent - distinct < window) {
            began[sent] = now();
            request(service, subject, first + sent, 0);
            sent++;
        }
        int command = receive();
        if (command == SILENCE)
            break; /* The C worker loses requests; the answers that came are measured. */
        if (command == MAILBOX_DELIVER) {
            long n = parse(last, last_size, first, count);
            took[n] = (double)(now() - began[n]) / 1000;
        }
    }
    stop();
    for (long n = 0; n < count; n++)
        if (took[n] > 0)
            printf("%.1f ", took[n]);
    puts("");
}

static void count_all(const char *mailbox, const char *stream, long count)
{
    long mails = 0, records = 0;
    open_as(mailbox, -1);
    begin(READ), string(stream), string(""), leave();
    ready(2);
    start();
    int64_t end = started;
    while (mails < count || records < count) {
        int command = receive();
        if (command == SILENCE && mails > count / 2 && records > count / 2)
            break; /* The C worker loses some; the messages that came are measured. */
        if (command == SILENCE)
            fail("no message has come in time");
        mails += command == MAILBOX_DELIVER;
        records += command == STREAM_DELIVER;
        end = now();
    }
    stop_at(end);
    puts("");
}

static void take_all(const char *service, long count, int credit)
{
    open_as("bench.worker", credit ? credit : -1);
    begin(OFFER), string(service), string(""), leave();
    ready(2);
    start();
    int used = 0;
    while (distinct < count) {
        if (answer() != DELIVER)
            continue;
        parse(last, last_size, FIRST_OF_ALL, NUMBERS);
        if (!credit)
            continue;
        int at = 3;
        for (int field = 0; field < 3; field++)
            at += 1 + got[at];
        begin(CONFIRM), octets(got + at + 1, got[at]), number(200, 2), string(""), leave();
        if (++used == credit / 2)
            begin(CREDIT), number((uint32_t)used, 2), leave(), used = 0;
    }
    stop();
    puts("");
    /* Wait for a PONG, so that the broker has all confirmations before this process ends. */
    begin(PING), leave();
    while (answer() != PONG)
        continue;
}

int main(int argc, char **argv)
{
    int unlimited = 0, linger = 1000, patience = 20000;
    if (argc < 6)
        fail("wrong arguments: see the comment at the top of peer.c");
    void *context = zmq_ctx_new();
    sock = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(sock, ZMQ_SNDHWM, &unlimited, sizeof unlimited);
    zmq_setsockopt(sock, ZMQ_RCVHWM, &unlimited, sizeof unlimited);
    zmq_setsockopt(sock, ZMQ_LINGER, &linger, sizeof linger);
    if (!strcmp(argv[1], "ask") || !strcmp(argv[1], "count"))
        patience = 3000;
    zmq_setsockopt(sock, ZMQ_RCVTIMEO, &patience, sizeof patience);
    if (zmq_connect(sock, argv[2]))
        fail("cannot connect");
    seen = calloc(NUMBERS, 1);
    if (argc == 6 && !strcmp(argv[1], "take"))
        take_all(argv[3], atol(argv[4]), atoi(argv[5]));
    else if (argc == 6 && !strcmp(argv[1], "count"))
        count_all(argv[3], argv[4], atol(argv[5]));
    else if (argc == 8 && !strcmp(argv[1], "send"))
        send_all(argv[3], argv[4], atol(argv[5]), atol(argv[6]), atol(argv[7]));
    else if (argc == 8 && !strcmp(argv[1], "mark"))
        mark(argv[3], argv[4], atol(argv[5]), atol(argv[6]));
    else if (argc == 8 && !strcmp(argv[1], "ask"))
        ask_all(argv[3], argv[4], atol(argv[5]), atol(argv[6]), atol(argv[7]));
    else
        fail("wrong arguments: see the comment at the top of peer.c");
    zmq_close(sock);
    zmq_ctx_term(context);
    return 0;
}
