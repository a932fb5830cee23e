/* Public keys as people paste them, and with the proof that registers them. */
#include "transport/identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct public_identity identity;
    struct err err;
    if (public_identity_parse(span_of(data, size), &identity, &err) == ERR_OK) {
        char text[PUBLIC_IDENTITY_TEXT_BYTES];
        public_identity_format(&identity, text);
        ASSERT(size == strlen(text) && memcmp(text, data, size) == 0); /* one form for one key */
    }
    static const char region[] = "r", name[] = "ALIYUN$a";
    if (registration_parse(span_of(data, size), span_text(region), span_text(name), &identity,
                           &err) == ERR_OK)
        ASSERT(size == REGISTRATION_TEXT_BYTES - 1);
    return 0;
}
