//! Whatever happens in whatever order: nothing is lost, and every address has its order.

use proptest::prelude::*;

use super::*;

/// A store as far as one endpoint is concerned, and what has arrived there.
#[derive(Default)]
struct World {
    events: Vec<u8>,
    through: i64,
    rows: BTreeMap<i64, PassedBy>,
    arrived: Vec<i64>,
    /// What was taken and written down since: that does not arrive again.
    noted: BTreeSet<i64>,
    taken: BTreeSet<i64>,
}

impl World {
    fn address(&self, event: i64) -> String {
        self.events[usize::try_from(event).unwrap() - 1].to_string()
    }

    fn load(&self) -> Lanes {
        let mut lanes = Lanes::new(WebhookState { through: self.through, ..state() }, 3);
        lanes.lane = 3;
        self.waiting().for_each(|waiting| lanes.wait(waiting, at(0)));
        lanes
    }

    fn waiting(&self) -> impl Iterator<Item = Waiting> {
        let waiting = self.rows.iter().filter(|(_, row)| row.dead_at.is_none());
        waiting.map(|(event, row)| Waiting {
            event: *event,
            at: at(0),
            address_key: self.address(*event),
            attempts: row.attempts,
            failed_at: row.failed_at,
            next_at: row.next_at,
        })
    }

    fn write(&mut self, lanes: &mut Lanes) {
        let Some(progress) = lanes.progress() else { return };
        for event in &progress.delivered {
            self.rows.remove(event);
        }
        for passed in &progress.passed_by {
            self.rows.insert(passed.event, passed.clone());
        }
        assert!(progress.state.through >= self.through);
        self.through = progress.state.through;
        assert!(self.rows.keys().all(|event| *event <= self.through), "what it comes to has no row");
        lanes.wrote(progress);
        self.noted.append(&mut self.taken);
    }

    fn read(&self, lanes: &mut Lanes) {
        while let Some((name, after, limit)) = lanes.hungry() {
            let ours = |waiting: &Waiting| waiting.event > after && waiting.address_key == *name;
            lanes.feed(&name, self.waiting().filter(ours).take(limit).collect(), at(0));
        }
        for event in lanes.read_to() + 1..=self.events.len() as i64 {
            if lanes.room() == 0 {
                return;
            }
            lanes.offer(head(event, &self.address(event)), true);
        }
    }

    fn arrives(&mut self, event: i64) {
        let dead = |event: &i64| self.rows.get(event).is_some_and(|row| row.dead_at.is_some());
        let earlier = (1..event).filter(|earlier| self.address(*earlier) == self.address(event));
        for earlier in earlier {
            assert!(self.arrived.contains(&earlier) || dead(&earlier), "{earlier} before {event}");
        }
        assert!(!self.noted.contains(&event), "{event} was noted as taken");
        self.arrived.push(event);
    }

    fn takes(&mut self, lanes: &mut Lanes, event: i64, now: i64) {
        self.arrives(event);
        self.taken.insert(event);
        lanes.settle(event, Answer::Taken, at(now), 0.5);
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_and_every_address_has_its_order(
        events in prop::collection::vec(0_u8..6, 1..90),
        steps in prop::collection::vec((0_u8..12, 1_i64..3_000), 0..250),
    ) {
        let mut world = World { events, ..World::default() };
        let mut lanes = world.load();
        let mut flying: Vec<i64> = Vec::new();
        let mut now = 0;
        for (step, wait) in steps {
            world.read(&mut lanes);
            flying.extend(all(&mut lanes, now));
            let one = flying.len().checked_sub(1).map(|last| usize::try_from(wait).unwrap() % (last + 1));
            match (step, one) {
                (0..=4, Some(one)) => {
                    world.takes(&mut lanes, flying.swap_remove(one), now);
                }
                (5 | 6, Some(one)) => {
                    lanes.settle(flying.swap_remove(one), no(), at(now), 0.5);
                }
                // It arrived, and the answer was lost.
                (7, Some(one)) => {
                    let event = flying.swap_remove(one);
                    world.arrives(event);
                    lanes.settle(event, nobody_there(None), at(now), 0.5);
                }
                (8, Some(one)) => lanes.put_back(flying.swap_remove(one), at(now + 5)),
                (9 | 10, _) => world.write(&mut lanes),
                // Killed, and started again.
                (11, _) => {
                    lanes = world.load();
                    flying.clear();
                    world.taken.clear();
                }
                _ => {}
            }
            now += wait % 30;
        }
        // From now on it takes everything.
        for _ in 0..5_000 {
            world.read(&mut lanes);
            flying.extend(all(&mut lanes, now));
            for event in std::mem::take(&mut flying) {
                world.takes(&mut lanes, event, now);
            }
            world.write(&mut lanes);
            match lanes.wake_at() {
                Some(at_) => now = now.max(at_.as_second() - at(0).as_second()) + 1,
                None if lanes.read_to() == world.events.len() as i64 && lanes.hungry().is_none() => break,
                None => {}
            }
        }
        for event in 1..=world.events.len() as i64 {
            prop_assert!(world.arrived.contains(&event), "{event} never arrived");
        }
        prop_assert!(world.rows.is_empty());
        prop_assert_eq!(world.through, world.events.len() as i64);
    }
}
