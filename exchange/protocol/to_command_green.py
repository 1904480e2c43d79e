"""Wire arguments to commands of green power and back; in the table of `to_command` as all others."""

from exchange.domain.commands_green import IssueCertificates
from exchange.protocol.measures import Measures
from exchange.protocol.requests_green import CertificateTerms


def certificates_of(args: CertificateTerms, _: str, m: Measures) -> IssueCertificates:
    """IssueCertificates."""
    return IssueCertificates(
        args.participant, args.certificate_id, args.region, m.time_ns(args.start, "start"), args.wh, args.kind, args.source
    )


def certificate_terms(made: IssueCertificates, m: Measures) -> CertificateTerms:
    """The wire form of IssueCertificates."""
    return CertificateTerms(
        participant=made.participant, certificate_id=made.certificate_id, region=made.region,
        start=m.time_text(made.start_ns), wh=made.wh, kind=made.kind, source=made.source,
    )  # fmt: skip
