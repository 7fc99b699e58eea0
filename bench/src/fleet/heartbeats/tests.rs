use super::*;
use crate::fleet::testing::{Ground, settings};

const WAYS: [Way; 4] = [Way::Unary, Way::KeepAlive(1), Way::KeepAlive(3), Way::Batch];

#[test]
fn by_every_way_what_is_accepted_is_in_the_table() {
    let (ground, settings) = (Ground::new(), settings());
    ground.runtime.block_on(holders::mint(&ground.address, settings.claims)).unwrap();
    for way in WAYS {
        let since = ground.sql.value("SELECT clock_timestamp()").unwrap();
        let beaten =
            ground.runtime.block_on(send(way, (&settings).into(), &ground.address)).unwrap();
        assert!(beaten.accepted >= beaten.touched && beaten.touched > 0, "{way:?}");
        check_moved(&ground.sql, since, beaten.touched).unwrap();
        assert!(check_moved(&ground.sql, since, beaten.touched + 1).is_err());
    }
    ground.runtime.block_on(ground.db.check_invariants());
}

#[test]
fn a_refused_heartbeat_is_an_error_by_every_way() {
    let (ground, settings) = (Ground::new(), settings());
    for way in WAYS {
        assert!(
            ground.runtime.block_on(send(way, (&settings).into(), &ground.address)).is_err(),
            "{way:?}"
        );
    }
}
