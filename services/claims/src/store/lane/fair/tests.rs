use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A call: its tenant, and its number among all that came.
type Numbered = (u8, usize);

fn fair(bound: usize) -> Fair<u8, Numbered> {
    Fair::bounded(bound)
}

/// Tenants below 100 have the same weight.
fn weight(tenant: u8) -> usize {
    1 + usize::from(tenant / 100)
}

fn push(fair: &mut Fair<u8, Numbered>, tenant: u8, number: usize) {
    fair.push(tenant, weight(tenant), (tenant, number));
}

fn push_many(fair: &mut Fair<u8, Numbered>, tenant: u8, count: usize) {
    for number in 0..count {
        push(fair, tenant, number);
    }
}

fn taken_of(tenant: u8, taken: &[Numbered]) -> usize {
    taken.iter().filter(|(of, _)| *of == tenant).count()
}

#[test]
fn a_flood_does_not_stand_in_the_way_of_another_tenants_call() {
    let mut fair = fair(10_000);
    push_many(&mut fair, 1, 5_000);
    assert_eq!((fair.ahead(&1, 1), fair.ahead(&2, 1)), (5_000, 1));
    push(&mut fair, 2, 0);
    let taken = fair.take(128);
    assert_eq!((taken_of(1, &taken), taken_of(2, &taken)), (127, 1));
    assert!(taken.iter().position(|(tenant, _)| *tenant == 2).unwrap() <= 1);
}

#[test]
fn a_tenant_that_waits_alone_is_taken_in_order_and_up_to_the_most() {
    let mut fair = fair(10_000);
    push_many(&mut fair, 1, 300);
    let taken: Vec<usize> = (0..3).flat_map(|_| fair.take(128)).map(|(_, number)| number).collect();
    assert_eq!(taken, (0..300).collect::<Vec<_>>());
    assert!(fair.is_empty() && fair.take(128).is_empty());
}

#[test]
fn who_was_served_last_waits_for_all_others_also_from_one_batch_to_the_next() {
    let mut fair = fair(10_000);
    for tenant in 0..100 {
        push_many(&mut fair, tenant, 2);
    }
    let (first, second) = (fair.take(64), fair.take(64));
    let seen: Vec<u8> = first.iter().chain(&second).map(|(tenant, _)| *tenant).collect();
    assert_eq!(seen, (0..100).chain(0..28).collect::<Vec<u8>>());
}

#[test]
fn a_tenant_of_twice_the_weight_gets_twice_as_much_also_across_batches() {
    let mut fair = fair(10_000);
    push_many(&mut fair, 100, 300);
    push_many(&mut fair, 1, 300);
    // Batches of four end in the middle of a turn.
    let taken: Vec<Numbered> = (0..60).flat_map(|_| fair.take(4)).collect();
    assert_eq!((taken_of(100, &taken), taken_of(1, &taken)), (160, 80));
}

#[test]
fn another_weight_counts_from_the_next_call_and_leaves_no_trace_when_the_line_is_empty() {
    let mut fair = fair(10_000);
    push_many(&mut fair, 1, 100);
    push_many(&mut fair, 2, 100);
    fair.push(1, 9, (1, 100));
    let taken = fair.take(20);
    assert_eq!((taken_of(1, &taken), taken_of(2, &taken)), (18, 2));
    fair.take(usize::MAX);
    assert_eq!((fair.round, fair.begun), (0, 0));
}

#[test]
fn a_flood_leaves_room_for_others_and_others_take_from_its_share() {
    const BOUND: usize = 900;
    let mut fair = fair(BOUND);
    let one = |fair: &mut Fair<u8, Numbered>, tenant| {
        let has_room = fair.has_room(&tenant);
        if has_room {
            push(fair, tenant, 0);
        }
        has_room
    };
    while one(&mut fair, 1) {}
    assert_eq!(fair.len, 800);
    while one(&mut fair, 2) {}
    assert_eq!(fair.len_of(&2), 89);
    assert!(fair.has_room(&3), "some is left for whoever comes next");
    // As the lanes serve them, both come to the same share.
    for _ in 0..20 {
        fair.take(100);
        while one(&mut fair, 1) | one(&mut fair, 2) {}
    }
    let (one, other) = (fair.len_of(&1), fair.len_of(&2));
    assert!(one.abs_diff(other) <= 100, "{one} and {other}");
    assert!(fair.len <= BOUND);
}

#[test]
fn a_full_queue_has_no_room_for_anybody() {
    let mut fair = fair(10);
    for tenant in 0..10 {
        assert!(fair.has_room(&tenant));
        push(&mut fair, tenant, 0);
    }
    assert!((0..20).all(|tenant| !fair.has_room(&tenant)));
}

/// What is done with a queue.
#[derive(Clone, Copy, Debug)]
enum Step {
    Push(u8),
    Take(usize),
}

/// Three of them with weights of 1, 2 and 3.
fn tenants() -> impl Strategy<Value = u8> {
    prop::sample::select(vec![0, 1, 2, 3, 100, 200])
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step =
        prop_oneof![4 => tenants().prop_map(Step::Push), 1 => (0usize..9).prop_map(Step::Take)];
    prop::collection::vec(step, 0..400)
}

proptest! {
    #[test]
    fn no_call_is_lost_or_taken_twice_and_each_tenants_keep_their_order(steps in steps()) {
        let mut fair = fair(1_000);
        let (mut pushed, mut taken) = (BTreeMap::new(), BTreeMap::new());
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push(tenant) => {
                    push(&mut fair, tenant, number);
                    pushed.entry(tenant).or_insert_with(Vec::new).push(number);
                }
                Step::Take(most) => {
                    let waiting = fair.len;
                    let some = fair.take(most);
                    prop_assert_eq!(some.len(), most.min(waiting));
                    for (tenant, number) in some {
                        taken.entry(tenant).or_insert_with(Vec::new).push(number);
                    }
                }
            }
        }
        for (tenant, number) in fair.take(usize::MAX) {
            taken.entry(tenant).or_insert_with(Vec::new).push(number);
        }
        prop_assert_eq!(pushed, taken);
        prop_assert!(fair.is_empty() && fair.lines.is_empty() && fair.turns.is_empty() && fair.round == 0);
    }

    #[test]
    fn of_two_that_wait_all_the_time_neither_has_more_than_one_turn_more(
        floods in prop::collection::vec((tenants(), 50usize..90), 1..5),
        takes in prop::collection::vec(0usize..12, 1..12),
    ) {
        let mut fair = fair(1_000);
        for (tenant, count) in &floods {
            push_many(&mut fair, *tenant, *count);
        }
        let mut served = BTreeMap::<u8, usize>::new();
        for most in takes {
            for (tenant, _) in fair.take(most) {
                *served.entry(tenant).or_default() += 1;
            }
            let turns = |tenant| served.get(tenant).copied().unwrap_or(0) / weight(*tenant);
            let waiting: Vec<usize> = fair.lines.keys().map(turns).collect();
            let (least, most) = (waiting.iter().min(), waiting.iter().max());
            if let (Some(least), Some(most)) = (least, most) {
                prop_assert!(most - least <= 1, "{served:?}");
            }
        }
    }

    #[test]
    fn no_more_are_taken_before_a_call_than_it_was_told(steps in steps(), tenant in tenants()) {
        let mut fair = fair(1_000);
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push(tenant) => push(&mut fair, tenant, number),
                Step::Take(most) => drop(fair.take(most)),
            }
        }
        let ahead = fair.ahead(&tenant, weight(tenant));
        push(&mut fair, tenant, usize::MAX);
        // Whoever comes later does not come before it, but for one call of each newcomer at a time.
        let taken = fair.take(usize::MAX);
        let place = taken.iter().position(|(_, number)| *number == usize::MAX);
        prop_assert!(place.is_some_and(|place| place <= ahead), "{place:?} of {ahead}");
    }

    #[test]
    fn whoever_joins_only_where_there_is_room_never_exceeds_the_bound(
        steps in steps(), bound in 1usize..30,
    ) {
        let mut fair = fair(bound);
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push(tenant) if fair.has_room(&tenant) => push(&mut fair, tenant, number),
                Step::Push(tenant) => prop_assert!(fair.len_of(&tenant) > 0 || fair.len == bound),
                Step::Take(most) => drop(fair.take(most)),
            }
            prop_assert!(fair.len <= bound);
        }
    }
}
