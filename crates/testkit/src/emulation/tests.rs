use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use super::*;

/// Runs `program` on one side to its end and returns what it printed.
fn output(emulation: &Emulation, side: Side, program: &str, arguments: &[&str]) -> String {
    let output = emulation.command(side, program).args(arguments).output().expect("`nsenter` runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("programs print UTF-8")
}

#[test]
fn programs_reach_each_other_over_the_links_and_namespaces_go() {
    let delayed = link::Config { delay: Duration::from_millis(5), ..link::Config::default() };
    let config = Config { left_to_right: delayed.clone(), right_to_left: delayed, ..Config::default() };
    let Some(emulation) = Emulation::start_or_skip(config).expect("emulation starts") else { return };
    let script = "exec 3<>/dev/tcp/10.77.0.1/7; read -r line <&3; echo \"got $line\"";
    let listener = "import socket; s=socket.create_server(('10.77.0.1',7)); print('up',flush=True); \
                    c,_=s.accept(); c.sendall(b'hello\\n')";
    let mut server = emulation
        .command(Side::Left, "python3")
        .args(["-c", listener])
        .stdout(Stdio::piped())
        .spawn()
        .expect("`nsenter` runs");
    let mut ready = [0; 3];
    server.stdout.take().expect("stdout is piped").read_exact(&mut ready).expect("the server starts");
    assert_eq!(output(&emulation, Side::Right, "bash", &["-c", script]), "got hello\n");
    assert!(server.wait().expect("the server ends").success());
    assert!(emulation.stats_from(Side::Left).delivered_packets >= 2);
    assert!(emulation.stats_from(Side::Right).delivered_packets >= 2);

    let name = emulation.namespace(Side::Left).to_owned();
    drop(emulation);
    assert!(!std::path::Path::new("/run/netns").join(name).exists());
}

#[test]
fn total_loss_lets_nothing_through() {
    let deaf = link::Config { loss: link::Loss::Random { probability: 1.0 }, ..link::Config::default() };
    let config = Config { left_to_right: deaf, ..Config::default() };
    let Some(emulation) = Emulation::start_or_skip(config).expect("emulation starts") else { return };
    let script = "import socket; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); \
                  [s.sendto(b'x',('10.77.0.2',9)) for _ in range(5)]";
    output(&emulation, Side::Left, "python3", &["-c", script]);
    // The kernel has queued the datagrams when the sender ends; dropping the emulation ends the pump, so look
    // until it has read them.
    while emulation.stats_from(Side::Left).entered_packets < 5 {
        std::thread::yield_now();
    }
    let stats = emulation.stats_from(Side::Left);
    assert!(stats.lost_packets >= 5 && stats.delivered_packets == 0, "{stats:?}");
}
