/* A port of 127.0.0.1 that nobody listens at when it is given; another may take it before it is used. Tests only. */
#ifndef TRANSPORT_PORT_TEST_H
#define TRANSPORT_PORT_TEST_H

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

static inline uint16_t port_free(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

#endif
