//! A self-contained page: cards, sections with charts and tables. All text is escaped by the
//! template, except the charts, which are templates of their own.

use askama::Template;

/// One page.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "page.html")]
pub(crate) struct Page {
    /// The head line.
    pub(crate) title: String,
    /// What the figures mean nothing without.
    pub(crate) subtitle: String,
    /// What a reader must see before the figures.
    pub(crate) warnings: Vec<String>,
    /// The figures that matter most.
    pub(crate) cards: Vec<Card>,
    /// The rest, from top to bottom.
    pub(crate) sections: Vec<Section>,
}

/// One figure that matters.
#[derive(Clone, Debug)]
pub(crate) struct Card {
    /// The figure.
    pub(crate) value: String,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// What it is compared with, or nothing.
    pub(crate) note: String,
}

/// A heading with what belongs to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Section {
    /// The heading.
    pub(crate) heading: String,
    /// A sentence below it, or nothing.
    pub(crate) intro: String,
    /// Charts as SVG.
    pub(crate) charts: Vec<String>,
    /// Tables.
    pub(crate) tables: Vec<Table>,
    /// Paragraphs.
    pub(crate) texts: Vec<String>,
    /// Text that keeps its line breaks.
    pub(crate) listing: String,
}

/// A table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// What it shows.
    pub(crate) caption: String,
    /// The names of its columns; none if each row explains itself.
    pub(crate) head: Vec<String>,
    /// Its rows.
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// One cell of a table.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// What stands in it.
    pub(crate) text: String,
    /// How it looks: a class of the style sheet, or nothing.
    pub(crate) class: &'static str,
}

impl Page {
    /// The page as text.
    pub(crate) fn text(&self) -> String {
        self.render().expect("a string takes all text")
    }

    /// Adds a section unless it is empty.
    pub(crate) fn add(&mut self, section: Section) {
        let Section { charts, tables, texts, listing, .. } = &section;
        if !(charts.is_empty() && tables.is_empty() && texts.is_empty() && listing.is_empty()) {
            self.sections.push(section);
        }
    }
}

impl Section {
    /// A section without anything.
    pub(crate) fn new(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), ..Self::default() }
    }

    /// Adds a chart if there is one.
    pub(crate) fn draw(&mut self, chart: Option<impl Template>) {
        self.charts.extend(chart.map(|chart| chart.render().expect("a string takes all text")));
    }
}

impl Table {
    /// A table with named columns and no rows.
    pub(crate) fn new(caption: impl Into<String>, head: &[&str]) -> Self {
        let head = head.iter().map(|name| (*name).to_owned()).collect();
        Self { caption: caption.into(), head, rows: Vec::new() }
    }

    /// A table of names and what belongs to each.
    pub(crate) fn pairs<const N: usize>(caption: &str, pairs: [(&str, String); N]) -> Self {
        let mut table = Self::new(caption, &[]);
        for (name, text) in pairs {
            table.pair(name, text);
        }
        table
    }

    /// Adds a name and what belongs to it; nothing is left out.
    pub(crate) fn pair(&mut self, name: &str, text: String) {
        let text = if text.is_empty() { "not known".into() } else { text };
        self.rows.push(vec![Cell::plain(name), Cell { text, class: "text" }]);
    }
}

impl Cell {
    /// A cell that looks like any other.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), class: "" }
    }

    /// A cell that says whether something is as it should be.
    pub(crate) fn judged(text: impl Into<String>, is_good: bool) -> Self {
        Self { text: text.into(), class: if is_good { "good" } else { "bad" } }
    }
}
