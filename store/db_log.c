#include "store/db_log.h"

#include <fcntl.h>
#include <unistd.h>

#define LOG_BLOCK_BYTES  32768
#define LOG_HEADER_BYTES 7 /* checksum u32 | length u16, both little-endian | kind u8 */

/* ---- records ---- */

static uint32_t crc32c(uint32_t crc, struct span bytes)
{
    crc = ~crc;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= bytes.data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0x82F63B78 : crc >> 1;
    }
    return ~crc;
}

static uint32_t load_u32_little(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* As the library writes it: of kind and content, turned. */
static uint32_t record_checksum(struct span kind_and_content)
{
    uint32_t crc = crc32c(0, kind_and_content);
    return (crc >> 15 | crc << 17) + 0xA282EAD8;
}

enum log_kind { LOG_WHOLE = 1, LOG_FIRST = 2, LOG_MIDDLE = 3, LOG_LAST = 4 };

static size_t record_length(const uint8_t *head)
{
    return (size_t)head[4] | (size_t)head[5] << 8;
}

static bool record_is_whole(const uint8_t *head)
{
    return load_u32_little(head) == record_checksum(span_of(head + 6, record_length(head) + 1));
}

size_t db_log_end(struct span log)
{
    size_t end = 0;
    for (size_t at = 0; at + LOG_HEADER_BYTES <= log.len;) {
        size_t left = LOG_BLOCK_BYTES - at % LOG_BLOCK_BYTES;
        if (left < LOG_HEADER_BYTES) {
            at += left;
            continue;
        }
        const uint8_t *head = log.data + at;
        size_t len = record_length(head);
        if (len + LOG_HEADER_BYTES > left || len + LOG_HEADER_BYTES > log.len - at ||
            !record_is_whole(head))
            return end;
        at += LOG_HEADER_BYTES + len;
        if (head[6] == LOG_WHOLE || head[6] == LOG_LAST)
            end = at;
    }
    return end;
}

/* The offset of the first record of a block that is not as its checksum says; its length: none. A piece
 * at the end of the file's last block is none either: it is being written. */
static size_t block_stop(struct span block)
{
    size_t at = 0;
    while (at + LOG_HEADER_BYTES <= block.len) {
        const uint8_t *head = block.data + at;
        size_t next = at + LOG_HEADER_BYTES + record_length(head);
        if (next > block.len)
            return block.len < LOG_BLOCK_BYTES && next <= LOG_BLOCK_BYTES ? block.len : at;
        if (!record_is_whole(head))
            return at;
        at = next;
    }
    return block.len;
}

bool db_log_stops(const char *path, uint64_t *ret_at)
{
    uint8_t *block MEM_CLEANUP = mem_alloc(LOG_BLOCK_BYTES);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    bool stops = false;
    ssize_t got = file < 0 ? 0 : LOG_BLOCK_BYTES;
    for (uint64_t at = 0; !stops && got == LOG_BLOCK_BYTES; at += LOG_BLOCK_BYTES) {
        got = pread(file, block, LOG_BLOCK_BYTES, (off_t)at);
        size_t len = got > 0 ? (size_t)got : 0;
        size_t stop = block_stop(span_of(block, len));
        stops = stop < len;
        *ret_at = at + stop;
    }
    if (file >= 0)
        close(file);
    return stops;
}

void db_log_append(struct bytes *log, struct span record)
{
    bool first = true;
    for (bool last = false; !last; first = false) {
        size_t left = LOG_BLOCK_BYTES - log->len % LOG_BLOCK_BYTES;
        for (; left < LOG_HEADER_BYTES && left > 0; left--)
            bytes_append_u8(log, 0);
        if (left == 0)
            left = LOG_BLOCK_BYTES;
        size_t len = record.len < left - LOG_HEADER_BYTES ? record.len : left - LOG_HEADER_BYTES;
        last = len == record.len;
        uint8_t head[LOG_HEADER_BYTES] = {0};
        head[4] = (uint8_t)len;
        head[5] = (uint8_t)(len >> 8);
        head[6] = first ? (last ? LOG_WHOLE : LOG_FIRST) : (last ? LOG_LAST : LOG_MIDDLE);
        size_t at = log->len;
        bytes_append(log, head, sizeof(head));
        bytes_append(log, record.data, len);
        uint32_t checksum = record_checksum(span_of(log->data + at + 6, len + 1));
        for (int i = 0; i < 4; i++)
            log->data[at + (size_t)i] = (uint8_t)(checksum >> 8 * i);
        record = span_slice(record, len, record.len - len);
    }
}
