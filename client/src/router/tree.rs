//! The tree behind the router: one node for each level of a filter.

use std::collections::BTreeMap;

use skein_protocol::TopicName;

use super::RouteId;

/// What follows the levels that lead here.
#[derive(Debug, Default)]
pub(super) struct Node {
    children: BTreeMap<Box<str>, Self>,
    /// What follows a `+`.
    single: Option<Box<Self>>,
    /// Filters that end with `#` here.
    rest: Vec<RouteId>,
    /// Filters that end here.
    here: Vec<RouteId>,
}

impl Node {
    pub(super) fn add<'a>(&mut self, mut levels: impl Iterator<Item = &'a str>, id: RouteId) {
        match levels.next() {
            None => self.here.push(id),
            Some("#") => self.rest.push(id),
            Some("+") => self.single.get_or_insert_default().add(levels, id),
            Some(level) => self.children.entry(level.into()).or_default().add(levels, id),
        }
    }

    /// Takes a route out, and the nodes that lead to nothing now.
    pub(super) fn remove<'a>(&mut self, mut levels: impl Iterator<Item = &'a str>, id: RouteId) {
        match levels.next() {
            None => self.here.retain(|here| *here != id),
            Some("#") => self.rest.retain(|rest| *rest != id),
            Some("+") => {
                if let Some(single) = &mut self.single {
                    single.remove(levels, id);
                    self.single.take_if(|single| single.is_empty());
                }
            }
            Some(level) => {
                if let Some(child) = self.children.get_mut(level) {
                    child.remove(levels, id);
                    if child.is_empty() {
                        self.children.remove(level);
                    }
                }
            }
        }
    }

    /// Adds every route that takes the topic.
    pub(super) fn find(&self, topic: TopicName<'_>, found: &mut Vec<RouteId>) {
        let levels: Vec<&str> = topic.levels().collect();
        // [MQTT-4.7.2-1]: the first level of a reserved topic matches itself only.
        if topic.is_reserved() {
            if let Some((first, levels)) = levels.split_first()
                && let Some(child) = self.children.get(*first)
            {
                child.find_levels(levels, found);
            }
        } else {
            self.find_levels(&levels, found);
        }
    }

    fn find_levels(&self, levels: &[&str], found: &mut Vec<RouteId>) {
        found.extend(&self.rest);
        let Some((level, levels)) = levels.split_first() else {
            return found.extend(&self.here);
        };
        if let Some(child) = self.children.get(*level) {
            child.find_levels(levels, found);
        }
        if let Some(single) = &self.single {
            single.find_levels(levels, found);
        }
    }

    fn is_empty(&self) -> bool {
        let is_leaf = self.children.is_empty() && self.single.is_none();
        is_leaf && self.rest.is_empty() && self.here.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_whose_routes_are_gone_is_empty() {
        let mut root = Node::default();
        let filters = ["a/b/c", "a/+/c", "a/#", "#"];
        for (number, filter) in filters.iter().enumerate() {
            root.add(filter.split('/'), RouteId(number as u64));
        }
        for (number, filter) in filters.iter().enumerate() {
            assert!(!root.is_empty());
            root.remove(filter.split('/'), RouteId(number as u64));
        }
        assert!(root.is_empty());
    }
}
