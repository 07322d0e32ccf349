#define _GNU_SOURCE /* memmem */
/* A peer of an MLM broker that uses very little of the processor, so that the other end is measured. It uses ZeroMQ and
 * only the frames that it needs. Requests are numbered: the content and the tracker of request n are its 8 digits.
 * With a broker that can, send and take group commands: what there is to send before the next wait is one BATCH.
 *
 *     peer send ENDPOINT SERVICE SUBJECT FIRST COUNT WINDOW
 *         sends requests; with a WINDOW above 0, at most WINDOW of them unconfirmed, and waits until all are confirmed
 *     peer later ENDPOINT SERVICE SUBJECT FIRST COUNT AT
 *         sends requests that are delayed until AT, in ms since 1970, and waits until the broker has them
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
       DELIVER = 13, OK = 14, ERROR = 15, CREDIT = 16, CONFIRM = 17, BATCH = 21 };
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

/* A BATCH is a header and a MessagePack array of commands, each an array of its number and its fields. */
enum { MOST_COMMANDS = 1000 };
static uint8_t group[1 << 20];
static int group_size, group_count, can_batch;

static void flush(void)
{
    if (!group_count)
        return;
    uint8_t head[3] = { 0xDC, (uint8_t)(group_count >> 8), (uint8_t)group_count };
    memcpy(group, head, 3);
    begin(BATCH);
    if (zmq_send(sock, header, (size_t)length, ZMQ_SNDMORE) < 0 || zmq_send(sock, group, (size_t)group_size, 0) < 0)
        fail("cannot send");
    group_count = 0;
}

static void grouped(int command, int fields)
{
    if (group_count == MOST_COMMANDS)
        flush();
    if (!group_count++)
        group_size = 3;
    group[group_size++] = (uint8_t)(0x91 + fields), group[group_size++] = (uint8_t)command;
}

static void packed(const void *text, size_t size)
{
    group[group_size++] = 0xC4, group[group_size++] = (uint8_t)size;
    memcpy(group + group_size, text, size);
    group_size += (int)size;
}

static void packed_number(uint32_t value)
{
    group[group_size++] = 0xCE;
    for (int shift = 24; shift >= 0; shift -= 8)
        group[group_size++] = (uint8_t)(value >> shift);
}

static void open_as(const char *address, int credit)
{
    begin(OPEN), string("MALAMUTE"), number(1, 2), string(address);
    if (credit >= 0) {
        number(1, 4), string("can"), number(16, 4);
        memcpy(header + length, "batch properties", 16);
        length += 16;
    }
    leave();
    if (credit >= 0)
        begin(CREDIT), number((uint32_t)credit, 2), leave();
}

/* When requests are due, in ms since 1970; 0: at once. */
static uint64_t due;

static void request(const char *service, const char *subject, long n, int is_tracked)
{
    char text[16];
    snprintf(text, sizeof text, "%08ld", n);
    if (can_batch) {
        grouped(SERVICE_SEND, due ? 6 : 5);
        packed(service, strlen(service)), packed(subject, strlen(subject)), packed(text, is_tracked ? 8 : 0);
        group[group_size++] = 0, group[group_size++] = 0x91, packed(text, 8);
        if (due) {
            memcpy(group + group_size, "\x81\xA2" "at\xCF", 5), group_size += 5;
            for (int shift = 56; shift >= 0; shift -= 8)
                group[group_size++] = (uint8_t)(due >> shift);
        }
        return;
    }
    begin(SERVICE_SEND), string(service), string(subject), string(is_tracked ? text : ""), number(0, 4);
    if (zmq_send(sock, header, (size_t)length, ZMQ_SNDMORE) < 0 || zmq_send(sock, text, 8, 0) < 0)
        fail("cannot send");
}

/* Receive a command: its header into got, the last frame of its content, if any, into last. Return its number. Of a BATCH,
 * the commands come one after the other; of these, got has the strings, each behind its length, and lease the lease. */
static uint8_t got[1 << 20], last[65536], batch[1 << 20];
static int got_size, last_size, batch_at, batch_left;
static uint32_t lease;

static uint32_t unpack(int size)
{
    uint32_t value = 0;
    while (size--)
        value = value << 8 | batch[batch_at++];
    return value;
}

/* Read the head of a value; return its number, or the size of what follows. */
static uint32_t unpack_head(void)
{
    uint8_t head = batch[batch_at++];
    switch (head) {
    case 0xC4: case 0xCC: case 0xD9: return unpack(1);
    case 0xC5: case 0xCD: case 0xDC: return unpack(2);
    case 0xC6: case 0xCE: case 0xDD: return unpack(4);
    case 0xCF: batch_at += 4; return unpack(4);
    }
    return head < 0x80 ? head : head < 0xA0 ? head & 15 : head & 31;
}

static int next_of_batch(void)
{
    int fields = (int)unpack_head() - 1, command = (int)unpack_head();
    got_size = 3, last_size = 0, lease = 0, batch_left--;
    for (; fields--; ) {
        uint8_t head = batch[batch_at];
        uint32_t size = unpack_head();
        if (head >= 0xC4 && head <= 0xC6) {
            got[got_size++] = (uint8_t)size;
            memcpy(got + got_size, batch + batch_at, size);
            got_size += (int)size, batch_at += (int)size;
        } else if ((head & 0xF0) == 0x90) {
            while (size--) {
                last_size = (int)unpack_head();
                memcpy(last, batch + batch_at, (size_t)last_size);
                batch_at += last_size;
            }
        } else if ((head & 0xF0) == 0x80) {
            while (size--) {
                uint32_t key = unpack_head();
                int is_lease = key == 5 && !memcmp(batch + batch_at, "lease", 5);
                batch_at += (int)key;
                uint32_t value = unpack_head();
                lease = is_lease ? value : lease;
            }
        } else {
            got[got_size++] = (uint8_t)(size >> 8), got[got_size++] = (uint8_t)size;
        }
    }
    return command;
}

static int receive(void)
{
    int more;
    size_t size = sizeof more;
    if (batch_left)
        return next_of_batch();
    flush();
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
        if (got[2] == BATCH) {
            zmq_recv(sock, batch, sizeof batch, 0);
            batch_at = 0, batch_left = (int)unpack_head();
            return next_of_batch();
        }
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
        if (answer() == OK) {
            can_batch |= got[5] > 6 && memmem(got + 6, got[5], " batch", 6) != NULL;
            count--;
        }
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
    open_as("", window || due ? 0 : -1);
    ready(1);
    if (due && !can_batch)
        fail("the broker cannot delay requests");
    start();
    long sent = 0;
    while (!window && sent < count)
        request(service, subject, first + sent++, 0);
    if (!window)
        flush(), begin(PING), leave(), answer();
    while (window && distinct < count) {
        while (sent < count && sent - distinct < window)
            request(service, subject, first + sent++, 1);
        int command = answer();
        if (command == CONFIRM) {
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

/* Find the lease of a delivery that came as a message of its own: a decimal number in the properties in got. */
static void single_lease(void)
{
    uint8_t *at = memmem(got, (size_t)got_size, "\5lease", 6);
    for (int digit = 0; at && digit < at[9]; digit++)
        lease = lease * 10 + (uint32_t)(at[10 + digit] - '0');
}

static void confirm_lease(void)
{
    grouped(CONFIRM, 4), packed("", 0), packed_number(200), packed("", 0);
    group[group_size++] = 0x81, group[group_size++] = 0xA5;
    memcpy(group + group_size, "lease", 5);
    group_size += 5;
    packed_number(lease);
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
        if (can_batch && !lease)
            single_lease();
        parse(last, last_size, FIRST_OF_ALL, NUMBERS);
        if (!credit)
            continue;
        int at = 3;
        for (int field = 0; field < 3; field++)
            at += 1 + got[at];
        if (can_batch)
            confirm_lease();
        else
            begin(CONFIRM), octets(got + at + 1, got[at]), number(200, 2), string(""), leave();
        if (++used == credit / 2) {
            flush();
            begin(CREDIT), number((uint32_t)used, 2), leave(), used = 0;
        }
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
    else if (argc == 8 && !strcmp(argv[1], "later")) {
        due = strtoull(argv[7], NULL, 10);
        send_all(argv[3], argv[4], atol(argv[5]), atol(argv[6]), 0);
    } else if (argc == 8 && !strcmp(argv[1], "mark"))
        mark(argv[3], argv[4], atol(argv[5]), atol(argv[6]));
    else if (argc == 8 && !strcmp(argv[1], "ask"))
        ask_all(argv[3], argv[4], atol(argv[5]), atol(argv[6]), atol(argv[7]));
    else
        fail("wrong arguments: see the comment at the top of peer.c");
    zmq_close(sock);
    zmq_ctx_term(context);
    return 0;
}
