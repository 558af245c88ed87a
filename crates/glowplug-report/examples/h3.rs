fn main() {
    let args: Vec<String> = std::env::args().collect();
    let read = |p: &str| glowplug_trace::read_trace(&std::fs::read_to_string(p).unwrap()).unwrap();
    let mut t = read(&args[1]);
    t.advice = glowplug_trace::advise(&t);
    let order = match args.get(3).map(|s| s.as_str()) {
        Some("unused") => glowplug_report::TraceOrder::Unused,
        _ => glowplug_report::TraceOrder::Total,
    };
    let view = glowplug_report::TraceView {
        style: glowplug_report::Style::plain(),
        width: args[2].parse().unwrap(),
        top: 20,
        order,
        filter: None,
    };
    println!("{}", glowplug_report::render_trace(&t, &view));
    if let Some(o) = args.get(4) {
        let o = read(o);
        println!(
            "{}",
            glowplug_report::render_comparison(&glowplug_trace::compare(&o, &t), &view.style, view.width, 20)
        );
    }
}
