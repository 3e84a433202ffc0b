//! Magento over SOAP, row by row.

use tokend::pb::{UpdateUserRequest, UserState};

use super::table::rows;
use crate::support::{ADMIN_PASSWORD, Verdict, World};

use requests::{
    ADMIN, ADMIN_OPERATION, CUSTOMER, CUSTOMER_OPERATION, PAGE, SOAP_1_1, SOAP_1_2, XML, admin,
    call, customer, envelope, fields, good, hold, hold_all, post, token, wsdl,
};

mod requests;

rows! { "magento-soap";
    S1 |row| {
        let world = World::with(|settings| {
            settings.rest.public_url = Some("http://magento.host".to_owned());
        })
        .await;
        let answered = wsdl(&world, &format!("wsdl&services={ADMIN}")).send().await;
        assert_eq!(answered.status, row("S1").status);
        row("S1").holds_headers(PAGE, &answered);
        insta::assert_snapshot!("magento-soap_wsdl_of_admins", answered.body);
        let both = wsdl(&world, &format!("wsdl&services={CUSTOMER},{ADMIN}")).send().await;
        insta::assert_snapshot!("magento-soap_wsdl_of_both", both.body);
        let head = world.http().request("HEAD", &format!("/soap/default?wsdl&services={ADMIN}"));
        assert_eq!(head.send().await.headers["content-type"], "text/xml; charset=UTF-8");
    }
    S2 |row| {
        let world = World::start().await;
        let made = call(&world, good()).await;
        let verdict = world.check(token(&made)).profile("magento-admin").await;
        assert_eq!(verdict, Verdict::Allow);
        hold_all(&row("S2").with("Admin"), made);
        let name = "customer1@example.com";
        let one = world.user(name).of("customers").await;
        let made = post(&world, CUSTOMER).body(customer(&fields(name, &one.password))).send().await;
        hold(&row("S2").with("Customer"), made);
    }
    S3 |row| {
        let world = World::start().await;
        let off = world.user("off").await;
        let request = UpdateUserRequest {
            user_id: off.id.clone(),
            state: UserState::Disabled.into(),
            ..UpdateUserRequest::default()
        };
        world.admin().api().update_user(request).await.unwrap();
        let long = "p".repeat(1025);
        let wrong = row("S3").with("sign in");
        for (name, password) in [
            ("admin", "wrong"), ("nobody", "wrong"), ("off", &off.password), ("admin", &long),
            ("a:b", "wrong"),
        ] {
            hold(&wrong, call(&world, admin(SOAP_1_2, &fields(name, password))).await);
        }
        let elsewhere = customer(&fields("admin", ADMIN_PASSWORD));
        hold(&wrong, post(&world, CUSTOMER).body(elsewhere).send().await);

        let ann = world.user("ann").await;
        let no_role = call(&world, admin(SOAP_1_2, &fields("ann", &ann.password))).await;
        hold(&row("S3").with("permissions"), no_role);

        let missing = row("S3").with("%fieldName is a required field.</env:Text>");
        for fields in [
            "<username>admin</username>",
            "<username>admin</username><password></password>",
            "<username>admin</username><password/><other>x</other>",
        ] {
            hold_all(&missing, call(&world, admin(SOAP_1_2, fields)).await);
        }
        for fields in ["", "<username/><password/>", "text", "<other>x</other>"] {
            hold(&row("S3").with("input exceptions"), call(&world, admin(SOAP_1_2, fields)).await);
        }
        for fields in [
            "<username>admin</username><username>admin</username><password>x</password>",
            "<username>admin</username><ns1:username>admin</ns1:username><password>x</password>",
            "<username><a/></username><password>x</password>",
        ] {
            hold(&row("S3").with("Invalid type"), call(&world, admin(SOAP_1_2, fields)).await);
        }
    }
    S4 |row| {
        let world = World::start().await;
        let unknown = |name: &str| envelope(SOAP_1_2, ADMIN, &format!("<ns1:{name}/>"));
        for name in ["nothingRequest", "Request", ADMIN_OPERATION, ADMIN] {
            hold_all(&row("S4"), call(&world, unknown(name)).await);
        }
        let elsewhere = customer(&fields("admin", ADMIN_PASSWORD));
        hold(&row("S4"), call(&world, elsewhere).await);
    }
    S5 |row| {
        let world = World::start().await;
        for text in [
            "<login/>",
            "<Envelope><Body/></Envelope>",
            &envelope("urn:other", ADMIN, "<ns1:x/>"),
            &format!("<env:Envelope xmlns:env=\"{SOAP_1_2}\"/>"),
        ] {
            hold_all(&row("S5"), call(&world, text.to_owned()).await);
        }
    }
    S6 |row| {
        let world = World::start().await;
        for text in ["", " ", "<a>", "{}", "<a/><b/>", "\u{fe}"] {
            hold_all(&row("S6"), call(&world, text.to_owned()).await);
        }
    }
    S7 |row| {
        let world = World::start().await;
        let post = || post(&world, ADMIN).header("soapaction", ADMIN_OPERATION);
        let made = post().body(admin(SOAP_1_1, &fields("admin", ADMIN_PASSWORD))).send().await;
        hold_all(&row("S7").with("result"), made);
        let missing = post().body(admin(SOAP_1_1, "<username>admin</username>")).send().await;
        assert_eq!(missing.headers["content-type"], "text/xml; charset=utf-8");
        hold(&row("S7").with("GenericFault"), missing);
        let unknown = post().body(envelope(SOAP_1_1, ADMIN, "<ns1:x/>")).send().await;
        let mut row = row("S7").with("Procedure");
        row.status = 500;
        hold(&row, unknown);
    }
    S8 |row| {
        let world = World::start().await;
        for query in [
            "wsdl".to_owned(),
            "wsdl&services=".to_owned(),
            "wsdl&services=admin".to_owned(),
            "wsdl&services=%ff".to_owned(),
            format!("services={ADMIN}"),
            format!("wsdl&services={ADMIN},"),
            format!("wsdl&services={ADMIN}&services={ADMIN}"),
        ] {
            hold_all(&row("S8"), wsdl(&world, &query).send().await);
        }
        hold(&row("S8"), world.http().get("/soap/default").send().await);
    }
    S9 |row| {
        let world = World::start().await;
        for before in [String::new(), format!("{ADMIN},")] {
            let query = format!("wsdl&services={before}catalogProductRepositoryV1");
            hold_all(&row("S9"), wsdl(&world, &query).send().await);
        }
    }
    S10 |row| {
        let world = World::start().await;
        hold_all(&row("S10"), wsdl(&world, &format!("wsdl&services={ADMIN}&a=1&b")).send().await);
        let odd = wsdl(&world, &format!("wsdl&services={ADMIN}&%3Cx%00=1")).send().await;
        assert!(odd.body.contains("Not allowed parameters: &lt;x\u{fffd}."), "{odd}");
    }
    S11 |row| {
        let world = World::start().await;
        for query in ["", "?services=", "?services=x", &format!("?services={ADMIN}&services=x")] {
            let post = world.http().post(&format!("/soap/default{query}"));
            hold_all(&row("S11").with("missing"), post.body(good()).send().await);
        }
        let unknown = post(&world, "catalogProductRepositoryV1").body(good()).send().await;
        hold(&row("S11").with("not available"), unknown);
    }
    S12 |row| {
        let world = World::start().await;
        for path in ["/soap/other", "/index.php/soap/other", "/soap/Default", "/soap/default/x", "/soap/"] {
            let query = format!("{path}?wsdl&services={ADMIN}");
            hold_all(&row("S12"), world.http().get(&query).send().await);
            hold(&row("S12"), world.http().post(&query).body(good()).send().await);
        }
    }
    S13 |row| {
        let world = World::start().await;
        for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
            let path = format!("/soap/default?wsdl&services={ADMIN}");
            hold_all(&row("S13"), world.http().request(method, &path).send().await);
        }
    }
    S14 |row| {
        let world = World::with(|settings| {
            settings.sign_in.burst = 1;
            settings.sign_in.rate_per_minute = 1;
        })
        .await;
        assert_eq!(call(&world, good()).await.status, 200);
        let throttled = call(&world, good()).await;
        assert!(throttled.headers.contains_key("retry-after"), "{throttled}");
        hold(&row("S14"), throttled);
    }
    S15 |row| {
        let world = World::start().await;
        for body in ["", "text", "<ns1:x/><ns1:x/>"] {
            hold_all(&row("S15"), call(&world, envelope(SOAP_1_2, ADMIN, body)).await);
        }
    }
    S16 |row| {
        let world = World::start().await;
        let header = "<env:Header><x env:mustUnderstand=\"true\"/></env:Header><env:Body>";
        hold_all(&row("S16"), call(&world, good().replace("<env:Body>", header)).await);
    }
    S17 |row| {
        let world = World::start().await;
        for host in ["a\"b", "user@host", "a/b", ""] {
            let get = || wsdl(&world, &format!("wsdl&services={ADMIN}")).header("host", host);
            hold_all(&row("S17"), get().send().await);
            hold(&row("S17"), post(&world, ADMIN).header("host", host).body(good()).send().await);
        }
        let two = wsdl(&world, "wsdl").header("host", "a").header("host", "b");
        hold(&row("S17"), two.send().await);
    }

    F1 |row| {
        let paths = ["/soap", "/soap/default", "/soap/all"];
        let world = World::start().await;
        for path in paths.into_iter().flat_map(|path| ["", "/index.php"].map(|b| format!("{b}{path}"))) {
            let query = format!("{path}?wsdl&services={ADMIN}");
            let answered = world.http().get(&query).send().await;
            assert!(answered.body.contains(&format!("{path}?services={ADMIN}\"")), "{answered}");
            let post = world.http().post(&format!("{path}?services={ADMIN}"));
            hold(&row("S2").with("Admin"), post.body(good()).send().await);
        }
        let world = World::with(|settings| {
            "/shop".clone_into(&mut settings.rest.magento.base_path);
            settings.rest.magento.stores = vec!["de".to_owned()];
        })
        .await;
        let answered = world.http().get(&format!("/shop/soap/de?wsdl&services={ADMIN}")).send().await;
        assert!(answered.body.contains(&format!("/shop/soap/de?services={ADMIN}\"")), "{answered}");
        let default = world.http().get(&format!("/shop/soap/default?wsdl&services={ADMIN}"));
        hold(&row("S12"), default.send().await);
        let elsewhere = world.http().get("/soap/de?wsdl").send().await;
        assert_eq!((elsewhere.status, &*elsewhere.body), (404, r#"{"error":"not found"}"#));
    }
    F2 |row| {
        let world = World::start().await;
        for query in ["wsdl", "wsdl=1", "wsdl=x"] {
            for services in [format!("{ADMIN},{CUSTOMER}"), format!("{ADMIN}%2C{CUSTOMER}")] {
                let query = format!("{query}&services={services}");
                let answered = wsdl(&world, &query).send().await;
                assert_eq!(answered.headers["content-type"], "text/xml; charset=UTF-8");
                for name in [ADMIN_OPERATION, CUSTOMER_OPERATION] {
                    assert!(answered.body.contains(&format!("<operation name=\"{name}\">")));
                }
            }
        }
        hold(&row("S8"), wsdl(&world, "WSDL").send().await);
    }
    F3 |row| {
        let world = World::with(|settings| {
            settings.rest.hosts = vec!["shop.example".to_owned(), "shop.example:8080".to_owned()];
        })
        .await;
        let address = world.http().address().to_string();
        for (host, named) in [
            ("shop.example", "shop.example"),
            ("SHOP.example:8080", "shop.example:8080"),
            ("shop.example:8081", &*address),
            ("evil.example", &*address),
            ("[::1]:80", &*address),
        ] {
            let get = wsdl(&world, &format!("wsdl&services={ADMIN}")).header("host", host);
            let answered = get
                .header("x-forwarded-host", "forwarded.example")
                .header("forwarded", "host=forwarded.example")
                .send()
                .await;
            for word in ["evil.example", "forwarded.example", "SHOP", ":8081"] {
                assert!(!answered.body.contains(word), "{answered}");
            }
            let url = format!("http://{named}/soap/default?services={ADMIN}");
            assert!(answered.body.contains(&format!("targetNamespace=\"{url}\"")), "{answered}");
            assert!(answered.body.contains(&format!("location=\"{url}\"")), "{answered}");
        }
        let world = World::with(|settings| {
            settings.rest.public_url = Some("https://id.example.com/a&b/".to_owned());
        })
        .await;
        let get = wsdl(&world, &format!("wsdl&services={ADMIN},{CUSTOMER}")).header("host", "a b");
        let answered = get.send().await;
        let url = "https://id.example.com/a&amp;b/soap/default?services=";
        let url = format!("{url}{ADMIN}%2C{CUSTOMER}");
        assert!(answered.body.contains(&format!("targetNamespace=\"{url}\"")), "{answered}");
        hold(&row("S2").with("Admin"), call(&world, good()).await);
    }
    F4 |row| {
        let world = World::start().await;
        for kind in ["", "text/xml", "application/json", "nothing"] {
            let post = world.http().post(&format!("/soap/default?services={ADMIN}"));
            let post = post.header("content-type", kind).header("soapaction", "urn:other");
            hold(&row("S2").with("Admin"), post.body(good()).send().await);
        }
        let more = good().replace("<username>", "<other><x/></other><username>");
        hold(&row("S3").with("Invalid type"), call(&world, more).await);
        let more = good()
            .replace("<username>", "<other>x</other><ns1:username>")
            .replace("</username>", "</ns1:username>")
            .replace("<env:Body>", "<env:Header><x>y</x></env:Header><env:Body>");
        hold(&row("S2").with("Admin"), call(&world, more).await);
        let other = good().replace("http://magento.host/soap/default", "https://o.example/a&amp;b");
        let answered = call(&world, other).await;
        let namespace = format!("xmlns:ns1=\"https://o.example/a&amp;b?services={ADMIN}\"");
        assert!(answered.body.contains(&namespace), "{answered}");
        let post = post(&world, ADMIN).header("host", "shop.example");
        let answered = post.body(good().replace("ns1:", "")).send().await;
        let address = world.http().address();
        let own = format!("xmlns:ns1=\"http://{address}/soap/default?services={ADMIN}\"");
        assert!(answered.body.contains(&own), "{answered}");
    }
    F5 |row| {
        let world = World::start().await;
        for (version, kind) in [
            (SOAP_1_1, "text/xml; charset=utf-8"),
            (SOAP_1_2, "application/soap+xml; charset=utf-8"),
        ] {
            for password in [ADMIN_PASSWORD, "wrong"] {
                let answered = call(&world, admin(version, &fields("admin", password))).await;
                assert_eq!(answered.headers["content-type"], kind);
                assert!(answered.body.starts_with(XML) && answered.body.ends_with(">\n"));
                assert_eq!(answered.body.lines().count(), 2, "{answered}");
            }
        }
        assert_eq!(row("S2").status, 200);
    }
    F6 |row| {
        let world = World::start().await;
        let large = |kind: &str| {
            let post = world.http().post("/soap").header("content-type", kind);
            post.body(vec![b'a'; 65537])
        };
        let refused = large("application/soap+xml").send().await;
        assert_eq!(refused.status, 413);
        let said = "<env:Value>env:Receiver</env:Value></env:Code><env:Reason>\
                    <env:Text xml:lang=\"en\">Payload Too Large</env:Text>";
        assert!(refused.body.contains(said), "{refused}");
        let refused = large("text/xml; charset=utf-8").send().await;
        assert_eq!(refused.status, 413);
        assert_eq!(refused.headers["content-type"], "text/xml; charset=utf-8");
        let said = "<faultcode>SOAP-ENV:Server</faultcode><faultstring>Payload Too Large<";
        assert!(refused.body.contains(said), "{refused}");
        assert_eq!(row("S14").status, 429);
    }
    F7 |row| {
        let world = World::start().await;
        let doctype = "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>";
        let laughs = "<!DOCTYPE x [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]>";
        let attributes: Vec<_> = (0..5000).map(|n| format!("a{n}=''")).collect();
        let utf_16 = good().encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        let hostile = [
            format!("{doctype}{}", good()).into_bytes(),
            format!("{laughs}{}", good()).into_bytes(),
            format!("<!DOCTYPE x>{}", good()).into_bytes(),
            good().replace(ADMIN_PASSWORD, "&e;").into_bytes(),
            good().replace("<username>", &format!("<username {}>", attributes.join(" "))).into_bytes(),
            "<a>".repeat(20_000).into_bytes(),
            good().replace("<env:Body>", &format!("<env:Body>{}", "<a>".repeat(40))).into_bytes(),
            format!("<?xml version=\"1.0\" encoding=\"UTF-16\"?>{}", good()).into_bytes(),
            utf_16,
            good().replace("admin", "\u{1}").into_bytes(),
            format!("{}<trailing/>", good()).into_bytes(),
        ];
        for body in hostile {
            let answered = post(&world, "none").body(body).send().await;
            hold(&row("S6"), answered);
        }
        hold(&row("S11").with("missing"), post(&world, "none").body("<login/>").send().await);
        let header = "<env:Header><x env:mustUnderstand=\"1\"/></env:Header><env:Body>";
        let unknown = envelope(SOAP_1_2, ADMIN, "<ns1:x/>").replace("<env:Body>", header);
        hold(&row("S16"), call(&world, unknown).await);
        let no_fields = envelope(SOAP_1_2, CUSTOMER, &format!("<ns1:{CUSTOMER_OPERATION}Request/>"));
        hold(&row("S4"), call(&world, no_fields).await);
    }
    F8 |row| {
        let world = World::start().await;
        for value in ["Bearer nothing", "Basic !!!", "x"] {
            let post = post(&world, ADMIN).header("authorization", value);
            hold(&row("S2").with("Admin"), post.body(good()).send().await);
        }
    }
    F9 |row| {
        let world = World::start().await;
        let wrong = call(&world, admin(SOAP_1_1, &fields("admin", "wrong"))).await;
        assert!(wrong.body.contains("<faultcode>SOAP-ENV:Client</faultcode>"), "{wrong}");
        let post = world.http().post("/soap").header("content-type", "text/xml");
        let malformed = post.body("<a>").send().await;
        assert!(malformed.body.contains("<faultcode>SOAP-ENV:Server</faultcode>"), "{malformed}");
        assert_eq!(malformed.status, row("S6").status);
    }
}
