//! Reports are read as a browser reads them, and looked at by structure.

use super::*;
use crate::{
    limit::{Criteria, Knob, Sample, SearchSettings, Verdict, find},
    plan::{Point, StreamRate, Streams, Wishes, Workload},
    report::{CanaryReport, LatencyUs},
};
use html5ever::{parse_document, tendril::TendrilSink};
use markup5ever_rcdom::{Handle, NodeData, RcDom};

/// One element: its name, its attributes, and all text inside.
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
}

fn text_of(node: &Handle) -> String {
    let own = if let NodeData::Text { contents } = &node.data { contents.borrow().to_string() } else { String::new() };
    node.children.borrow().iter().map(text_of).fold(own, |all, text| all + &text)
}

fn collect(node: &Handle, into: &mut Vec<Element>) {
    if let NodeData::Element { name, attrs, .. } = &node.data {
        let attributes = attrs.borrow().iter().map(|a| (a.name.local.to_string(), a.value.to_string())).collect();
        into.push(Element { name: name.local.to_string(), attributes, text: text_of(node) });
    }
    node.children.borrow().iter().for_each(|child| collect(child, into));
}

/// All elements in order; a file with errors is no report.
fn elements(html: &str) -> Vec<Element> {
    let dom = parse_document(RcDom::default(), Default::default()).one(html);
    assert_eq!(*dom.errors.borrow(), Vec::<std::borrow::Cow<'_, str>>::new());
    let mut elements = Vec::new();
    collect(&dom.document, &mut elements);
    elements
}

fn named<'a>(elements: &'a [Element], name: &str) -> Vec<&'a Element> {
    elements.iter().filter(|element| element.name == name).collect()
}

fn run(p99: u64) -> Report {
    let mut report = Report {
        scenario: "one-to-many".into(),
        publishers: 1,
        subscribers: 20,
        seconds: 10.0,
        pps: 500,
        size: 1_100,
        burst: 1,
        expected: 100_000,
        delivered: 99_990,
        lost: 10,
        forwarded_pps: 11_000.0,
        server_cpu: Some(0.03),
        server_cpu_s_per_mpkt: Some(2.5),
        canaries: CanaryReport { bots: 2, expected: 10_000, delivered: 10_000, ..CanaryReport::default() },
        ..Report::default()
    };
    (50..p99).for_each(|us| report.latencies.record(us));
    report.latency_us = LatencyUs::of(&report.latencies);
    report.latency_cdf = report.latencies.cdf(200);
    report
}

fn machine() -> Machine {
    Machine { build: "release".into(), cores: 2, version: "0.1.0".into(), ..Machine::default() }
}

fn of_loads(loads: &[Repeats]) -> String {
    page(&Document { machine: &machine(), command: None, loads, limit: None, plan: None })
}

fn a_plan() -> Plan {
    let load = [[500.0, 8e3, 0.0, 26.0], [500.0, 3e4, 0.0, 70.0], [120.0, 0.0, 1.2e3, 11.0], [120.0, 0.0, 7e3, 61.0]];
    let more = [[50.0, 5e3, 0.0, 101.0], [1_360.0, 2.8e3, 6.7e3, 8.0]];
    let points = load.into_iter().chain(more).enumerate().map(|(n, [received, audio, video, participants])| Point {
        name: format!("run {n}"),
        received_pps: received,
        audio_pps: audio,
        video_pps: video,
        participants,
        cpu: (received * 2.0 + audio + video * 0.8 + participants * 50.0) / 1e6,
        audio: Some(StreamRate { pps: 50.0, bytes_per_s: 4e3 }),
        video: Some(StreamRate { pps: 120.0, bytes_per_s: 130e3 }),
        ..Point::default()
    });
    let both = Streams { audio: 1.0, video: 1.0 };
    let workloads = [
        Workload::room("a call of four", [0, 0, 4], both, both),
        Workload::room("a very large room", [1, 100_000, 0], both, both),
    ];
    Plan::new(points.collect(), &Wishes::default(), &workloads).unwrap()
}

#[test]
fn page_of_a_single_run() {
    let html = of_loads(&[Repeats::new(vec![run(400)])]);
    let elements = elements(&html);
    assert_eq!(named(&elements, "title")[0].text, "Load test: one-to-many");
    assert_eq!(named(&elements, "svg").len(), 2, "latency, whole and from its slow end");
    let text = &named(&elements, "main")[0].text;
    for words in ["Latency, p99", "Canaries", "What was run", "How it was measured", "11\u{2009}000/s"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(text.contains("Nothing speaks against"), "{text}");
}

#[test]
fn no_external_resources_or_scripts() {
    let loads = [Repeats::new(vec![run(400), run(420), run(390)])];
    let plan = a_plan();
    let html = page(&Document {
        machine: &machine(),
        command: Some("tacet load"),
        loads: &loads,
        limit: None,
        plan: Some(&plan),
    });
    for element in elements(&html) {
        assert!(!["script", "link", "img", "iframe", "object", "image", "use"].contains(&element.name.as_str()));
        for (name, value) in &element.attributes {
            let fetches = ["src", "href", "srcset", "data", "xlink:href"].contains(&name.as_str());
            assert!(!fetches && !name.starts_with("on") && !value.contains("://"), "{} {name}={value}", element.name);
        }
    }
    assert!(!include_str!("style.css").contains("url(") && !include_str!("style.css").contains("@import"));
}

#[test]
fn text_is_escaped() {
    let evil = "</style></title><script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;";
    let mut hostile = run(400);
    hostile.scenario = evil.into();
    hostile.generator.limits = vec![evil.into()];
    let machine = Machine { cpu: Some(evil.into()), kernel: Some(evil.into()), ..machine() };
    let loads = [Repeats::new(vec![hostile])];
    let mut plan = a_plan();
    plan.workloads[0].workload = evil.into();
    plan.predictions[0].name = evil.into();
    let html =
        page(&Document { machine: &machine, command: Some(evil), loads: &loads, limit: None, plan: Some(&plan) });
    let elements = elements(&html);
    assert!(named(&elements, "script").is_empty() && named(&elements, "img").is_empty());
    assert_eq!(named(&elements, "title")[0].text, format!("Capacity plan: {evil}"));
    assert!(named(&elements, "pre")[0].text.contains(evil));
}

#[test]
fn coordinates_are_inside_the_plot() {
    let mut wild = run(60_000);
    (wild.forwarded_pps, wild.server_cpu) = (f64::NAN, Some(f64::INFINITY));
    wild.latency_cdf.push((0, f64::NAN));
    let loads =
        [Repeats::new(vec![run(400), wild]), Repeats::new(vec![run(90)]), Repeats::new(vec![Report::default()])];
    let plan = a_plan();
    let html = page(&Document { machine: &machine(), command: None, loads: &loads, limit: None, plan: Some(&plan) });
    let elements = elements(&html);
    assert_eq!(named(&elements, "svg").len(), 5);
    let mut coordinates = 0;
    for element in &elements {
        for (name, value) in &element.attributes {
            if ["x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "points"].contains(&name.as_str()) {
                for number in value.split([' ', ',']).filter(|number| !number.is_empty()) {
                    let number: f64 = number.parse().unwrap();
                    assert!((0.0..=f64::from(plot::SIZE.0)).contains(&number), "{} {name}={value}", element.name);
                    coordinates += 1;
                }
            }
        }
    }
    assert!(coordinates > 500, "{coordinates}");
}

#[test]
fn warnings_come_first() {
    let mut late = run(400);
    late.generator.limits = vec!["the generator sent late".into()];
    let debug = Machine { build: "debug".into(), ..machine() };
    let loads = [Repeats::new(vec![run(400), late, run(4_000)])];
    let html = page(&Document { machine: &debug, command: None, loads: &loads, limit: None, plan: None });
    let elements = elements(&html);
    let place = |of: fn(&Element) -> bool| elements.iter().position(of).unwrap();
    let warning = place(|element| element.attributes.iter().any(|(_, value)| value == "box warn"));
    assert!(warning < place(|element| element.name == "table"));
    for words in ["debug build", "run 2: the generator sent late", "differs by"] {
        assert!(elements[warning].text.contains(words), "{words}");
    }
}

#[tokio::test]
async fn page_of_a_limit() {
    let sample = |load: u64| Sample {
        load,
        forwarded_pps: load as f64 * 500.0,
        loss: if load > 300 { 0.02 } else { 0.0 },
        p99_us: 200 + load,
        server_cpu: Some((load as f64 / 300.0).min(1.0)),
        verdict: if load > 300 { Verdict::Server } else { Verdict::Pass },
        why: if load > 300 { vec!["loss 2 %".into()] } else { vec![] },
    };
    let run = async |load, _| Ok::<_, std::convert::Infallible>(sample(load));
    let Ok((search, bounds)) = find(SearchSettings::from(20), run).await;
    let limit = LimitReport::new(&search, bounds, Knob::Subscribers, Criteria::default(), Some(0));
    let html = page(&Document { machine: &machine(), command: None, loads: &[], limit: Some(&limit), plan: None });
    let elements = elements(&html);
    assert_eq!(named(&elements, "svg").len(), 2);
    let rows = named(&elements, "tr").len();
    assert_eq!(rows, 1 + limit.samples.len());
    let text = &named(&elements, "main")[0].text;
    assert!(text.contains("Most packets a second") && text.contains("pinned to core 0"), "{text}");
}

#[test]
fn plan_marks_rooms_that_do_not_fit() {
    let plan = a_plan();
    let html = page(&Document { machine: &machine(), command: None, loads: &[], limit: None, plan: Some(&plan) });
    let elements = elements(&html);
    let text = &named(&elements, "main")[0].text;
    for words in
        ["1\u{2009}000\u{2009}000 participants at once", "a very large room takes", "held out", "What is assumed"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn empty_page() {
    assert!(named(&elements(&of_loads(&[])), "svg").is_empty());
}
