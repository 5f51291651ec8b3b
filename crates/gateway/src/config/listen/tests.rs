use super::*;

#[test]
fn ranges_hold_what_they_say_and_nothing_else() {
    let rows = [
        ("10.0.0.0/8", &["10.0.0.0", "10.255.255.255"][..], &["9.255.255.255", "11.0.0.0", "::ffff:10.0.0.1", "a00::"][..]),
        ("192.0.2.7", &["192.0.2.7"], &["192.0.2.6", "192.0.2.8"]),
        ("128.0.0.0/1", &["255.0.0.1"], &["127.255.255.255"]),
        ("2001:db8::/33", &["2001:db8::1", "2001:db8:7fff::"], &["2001:db8:8000::", "32.1.13.184"]),
        ("::1", &["::1"], &["::2", "0.0.0.1"]),
    ];
    for (range, inside, outside) in rows {
        let subnet = Subnet::read(range).expect(range);
        assert!(inside.iter().all(|address| subnet.holds(address.parse().expect("an address"))), "{range}");
        assert!(!outside.iter().any(|address| subnet.holds(address.parse().expect("an address"))), "{range}");
    }
    for bad in
        ["", "10.0.0.1/8", "0.0.0.0/0", "::/0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/08x", "example.com", "2001:db8::1/32"]
    {
        assert_eq!(Subnet::read(bad), None, "{bad:?}");
    }
}

#[test]
fn names_of_certificates_have_one_spelling() {
    let good = [
        ("spiffe://corp.example/ns/prod/agent", "spiffe://corp.example/ns/prod/agent"),
        ("dns:Agent.Example.com", "dns:agent.example.com"),
        ("email:Bot@Example.COM", "email:Bot@example.com"),
        ("https://corp.example/agents/7", "https://corp.example/agents/7"),
    ];
    for (written, spelled) in good {
        assert_eq!(certificate_name(written).as_deref(), Some(spelled));
    }
    let bad = [
        "",
        "agent",
        "dns:",
        "dns:*.example.com",
        "dns:.example.com",
        "email:@example.com",
        "email:bot",
        "urn:agent",
        "spiffe://corp.example",
        "spiffe://corp.example/",
        "spiffe://Corp.example/a",
        "SPIFFE://corp.example/a",
        "spiffe:///a",
        "spiffe://corp.example/a//b",
        "spiffe://corp.example/a/../b",
        "spiffe://corp.example/%61",
        "spiffe://corp.example:1/a",
        "spiffe://corp.example/a#b",
        "https://x/\u{430}",
        "https://x/a b",
    ];
    for bad in bad {
        assert_eq!(certificate_name(bad), None, "{bad:?}");
    }
}
