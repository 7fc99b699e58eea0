"""Has a real service send its spans to rotel, a collector by others, and looks at what that has read."""

import re
import sys
import tempfile
from importlib import resources
from pathlib import Path

import grpc
from claim.v1 import claim_service_pb2 as api
from claim.v1 import claim_service_pb2_grpc as api_grpc
from service import Program, Service, eventually, free_port

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
MINT = "claim.v1.ClaimService/Mint"


class Rotel(Program):
    """It tells every span that it is sent."""

    def __init__(self, folder: str):
        self.endpoint = f"127.0.0.1:{free_port()}"
        agent = resources.files("rotel") / "rotel-agent"
        super().__init__(
            [
                str(agent),
                "start",
                "--exporter=blackhole",
                "--debug-log=traces",
                "--debug-log-verbosity=detailed",
                f"--otlp-grpc-endpoint={self.endpoint}",
                f"--otlp-http-endpoint=127.0.0.1:{free_port()}",
                f"--pid-file={folder}/rotel.pid",
                f"--log-file={folder}/rotel.log",
            ]
        )

    def spans(self) -> list[dict[str, str]]:
        """Each span with what is told of it, by what it is called there."""
        parts = re.split(r"^\s*(?:ScopeSpans|Span) #\d+.*$", self.text(), flags=re.MULTILINE)
        return [dict(re.findall(r"^\s*([A-Za-z ]+?)\s*: (.*?)\s*$", part, re.MULTILINE)) for part in parts]


def mint(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        claims = api_grpc.ClaimServiceStub(channel)
        claims.Mint(
            api.MintRequest(entity_url="/chat/a", consumer_id="w_1"),
            metadata=[("traceparent", f"00-{TRACE}-{CALLER}-01")],
        )


def main() -> int:
    passed, failed = 0, 0
    with tempfile.TemporaryDirectory() as folder, Rotel(folder) as rotel:
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{rotel.endpoint}", "OTEL_BSP_SCHEDULE_DELAY": "200"}
        with Service(sys.argv[1], **traced) as service:
            mint(service.address)
            for what in (MINT, "lane", "batch", "lock_entities.sql", "write_events.sql", "COMMIT"):
                try:
                    span = eventually(
                        f"rotel has read {what}",
                        lambda what=what: next((one for one in rotel.spans() if one.get("Name") == what), None),
                        20,
                    )
                    assert span["Trace ID"] == TRACE, span
                    assert what != MINT or span["Parent ID"] == CALLER, span
                    passed += 1
                    print(f"ok: {what} has come, in the trace of the caller")
                except (AssertionError, KeyError) as error:
                    failed += 1
                    print(f"FAILED: {what}: {error}")
        if failed:
            print(Path(rotel.output.name).read_text()[-4000:])
    print(f"{passed} passed, {failed} failed")
    return int(failed > 0)


sys.exit(main())
