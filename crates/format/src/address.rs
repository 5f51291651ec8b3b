//! Which addresses belong to the public internet, and which are never to be asked: what somebody else names must
//! not lead into one's own network (server-side request forgery). The one table of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address, or the one that it stands for, belongs to the public internet.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    let plain = unwrapped(address);
    !is_never_plain(plain) && is_public_plain(plain)
}

/// Whether an address, or the one that it stands for, is link-local, unspecified, multicast, or one where clouds
/// tell a machine its own credentials.
#[must_use]
pub fn is_never(address: IpAddr) -> bool {
    is_never_plain(unwrapped(address))
}

/// The IPv4 address that an IPv6 address stands for, where it stands for one: mapped and compatible (RFC 4291),
/// translated (RFC 6052), ISATAP (RFC 5214). 6to4 and Teredo are not public as a whole.
fn unwrapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else { return address };
    if let Some(four) = six.to_ipv4_mapped() {
        return IpAddr::V4(four);
    }
    let four = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match six.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0, 0, high @ 1..=0xffff, low] | [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => {
            four(high, low)
        }
        _ => address,
    }
}

/// Link-local and unspecified addresses, multicast, and where clouds tell a machine its own credentials.
fn is_never_plain(address: IpAddr) -> bool {
    const METADATA: [IpAddr; 4] = [
        // Azure's, which looks public.
        IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
        IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
        IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    ];
    let local = match address {
        IpAddr::V4(four) => four.is_link_local() || four.is_broadcast() || four.octets().first() == Some(&0),
        IpAddr::V6(six) => six.is_unicast_link_local(),
    };
    local || address.is_unspecified() || address.is_multicast() || METADATA.contains(&address)
}

/// Whether an address belongs to the public internet (the registries of RFC 6890).
fn is_public_plain(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => {
            let special = matches!(
                four.octets(),
                [0 | 10 | 127 | 240.., ..]
                    | [100, 64..=127, ..]
                    | [169, 254, ..]
                    | [172, 16..=31, ..]
                    | [192, 0, 0 | 2, _]
                    | [192, 88, 99, _]
                    | [192, 168, ..]
                    | [198, 18 | 19, ..]
                    | [198, 51, 100, _]
                    | [203, 0, 113, _]
            );
            !special && !four.is_multicast()
        }
        IpAddr::V6(six) => {
            let special = matches!(six.segments(), [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..]);
            // Global unicast is 2000::/3 and nothing else.
            matches!(six.segments(), [0x2000..=0x3fff, ..]) && !special
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(address: &str) -> bool {
        is_public(address.parse().expect(address))
    }

    fn never(address: &str) -> bool {
        is_never(address.parse().expect(address))
    }

    #[test]
    fn addresses_of_ones_own_network_are_not_public() {
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "198.18.0.1",
            "192.0.2.1",
            "203.0.113.7",
            "240.0.0.1",
            "255.255.255.255",
            "224.0.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "::1",
            "::",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:0:1::1",
            "2001:db8::1",
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "100.100.100.200",
            "fd00:ec2::254",
            "64:ff9b::a9fe:a9fe",
        ] {
            assert!(!public(address), "{address}");
        }
        for address in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::808:808"] {
            assert!(public(address), "{address}");
        }
    }

    #[test]
    fn what_a_host_tells_about_itself_is_never_asked() {
        for address in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fe80::1",
            "0.0.0.0",
        ] {
            assert!(never(address), "{address}");
        }
        for address in ["127.0.0.1", "10.1.2.3", "::1", "fd12::1", "8.8.8.8"] {
            assert!(!never(address), "{address}");
        }
    }
}
