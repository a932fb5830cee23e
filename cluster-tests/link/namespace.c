#include "cluster-tests/link/namespace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

#define DEVICE_NAME    "tun0"
#define DEVICE_NETMASK "255.255.255.0"
#define DEVICE_PACKETS 20000 /* the kernel's queue to us: it must never be what drops */

static enum err_code failed(const char *what, struct err *err)
{
    int number = errno;
    enum err_code code = number == EPERM || number == EACCES ? ERR_DENIED : ERR_IO;
    return err_set(err, code, "%s: %s", what, strerror(number));
}

static struct ifreq request_of(const char *name)
{
    struct ifreq request = {.ifr_mtu = 0};
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    return request;
}

static enum err_code address_set(int control, unsigned long what, const char *text, struct err *err)
{
    struct ifreq request = request_of(DEVICE_NAME);
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (inet_pton(AF_INET, text, &address.sin_addr) != 1)
        return err_set(err, ERR_PARAMETER, "'%s' is no IPv4 address", text);
    memcpy(&request.ifr_addr, &address, sizeof(address));
    return ioctl(control, what, &request) < 0 ? failed("setting an address", err) : ERR_OK;
}

static enum err_code device_up(int control, const char *name, struct err *err)
{
    struct ifreq request = request_of(name);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    return ioctl(control, SIOCSIFFLAGS, &request) < 0 ? failed("switching a device on", err)
                                                      : ERR_OK;
}

static enum err_code device_configure(int control, const char *address, int mtu, struct err *err)
{
    struct ifreq request = request_of(DEVICE_NAME);
    request.ifr_mtu = mtu;
    if (ioctl(control, SIOCSIFMTU, &request) < 0)
        return failed("setting the MTU", err);
    request = request_of(DEVICE_NAME);
    request.ifr_qlen = DEVICE_PACKETS;
    if (ioctl(control, SIOCSIFTXQLEN, &request) < 0)
        return failed("setting the queue's length", err);
    TRY(address_set(control, SIOCSIFADDR, address, err));
    TRY(address_set(control, SIOCSIFNETMASK, DEVICE_NETMASK, err));
    TRY(device_up(control, "lo", err));
    return device_up(control, DEVICE_NAME, err);
}

static enum err_code device_open(const char *address, int mtu, int *ret_device, struct err *err)
{
    int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (device < 0)
        return failed("/dev/net/tun", err);
    struct ifreq request = request_of(DEVICE_NAME);
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    enum err_code code;
    if (control < 0)
        code = failed("a socket", err);
    else if (ioctl(device, TUNSETIFF, &request) < 0)
        code = failed("making a TUN device", err);
    else
        code = device_configure(control, address, mtu, err);
    if (control >= 0)
        close(control);
    if (code != ERR_OK)
        close(device);
    else
        *ret_device = device;
    return code;
}

enum err_code namespace_make(const char *address, int mtu, struct namespace *ret_namespace,
                             struct err *err)
{
    if (unshare(CLONE_NEWNET) < 0)
        return failed("a network namespace", err);
    int descriptor = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return failed("/proc/self/ns/net", err);
    int device = -1;
    enum err_code code = device_open(address, mtu, &device, err);
    if (code != ERR_OK) {
        close(descriptor);
        return code;
    }
    *ret_namespace = (struct namespace){.descriptor = descriptor, .device = device};
    return ERR_OK;
}
