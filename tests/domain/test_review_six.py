"""What a reader found who had not seen how hours are cured and settled: each story went another way, or halted the exchange."""

from __future__ import annotations

import pytest
from scenario import Teller


def told(text: str) -> Teller:
    """A story whose lines all go as they say."""
    teller = Teller()
    for line in filter(None, map(str.strip, text.splitlines())):
        said, arrow, wanted = line.partition("->")
        heard = teller.tell(said.strip())
        assert not arrow or heard == wanted.strip(), f"{said.strip()}\n   told: {heard}"
        assert arrow or "refused" not in heard, f"{said.strip()}\n   told: {heard}"
        teller.world.venue.check()
    return teller


COVERED_IN_ITS_HOUR = """
    offer P1 o1 g1 H800/L10/grid 60 @ 8.00 03-04
    offer P2 o2 g2 H800/L10/grid 60 @ 9.00 03-04 standby
    task B1 t1 H800 60 x 1 by 04 cap 9.00
    clock 03:20
    fail t1@03
    buy-in t1@03
"""


def test_a_busted_obligation_whose_running_hour_was_covered_leaves_its_cover_whole() -> None:
    """The cover lost its size to the bust: the next settlement divided by nothing."""
    told(COVERED_IN_ITS_HOUR + """
        bust-number 3     -> busted 60 @ 8.00 h03
        clock 05
        settle 03         -> h03 short paid 0.00 fee 0.00 refund 363.60 damages 36.00
        money B1 escrow   -> 0.00
    """)


def test_a_moved_cover_keeps_its_size_when_another_hour_of_the_block_is_busted() -> None:
    """And owes both ways of the data, which it leaves in vain: 50.00 of the block's 100.00, and its own 50.00."""
    told("""
        offer P1 o1 g1 H800/L10/grid 64 @ 8.00 03-05
        task B1 t1 H800 64 x 2 by 05 budget 1500 data 1000
        offer P3 o3 q1 H800/L10/grid 64 @ 8.00 04-05
        fail t1@04
        buy-in t1@04      -> trade t1 o3 64 @ 8.00 h04; covered 64 cost 512.00 moving 50.00 fee 2.56 of 514.56; buy-in bought margin 50.00 open 0; h04 covered paid 0.00 fee 0.00
        bust t1@03        -> busted 64 @ 8.00 h03
        clock 07
        settle 04         -> h04 short paid 0.00 fee 0.00 moving 150.00 refund 514.56 damages 151.20
    """)  # noqa: E501


@pytest.mark.parametrize(("chip", "cards", "factor"), [("H800", 10, ""), ("A910B", 20, "*0.5")])
def test_a_cover_on_another_chip_that_fails_owes_moving_the_data_once(chip: str, cards: int, factor: str) -> None:
    """BB4: 10.00 for the data and lambda on 80.00; twice the cards were twice the data."""
    chips = "H800" if chip == "H800" else f"H800|{chip}{factor}"
    told(f"""
        offer P1 o1 g1 H800/L10/grid 10 @ 8.00 03-04
        offer P2 o2 g2 {chip}/L10/grid {cards} @ {80 // cards}.00 03-04
        task B1 t1 {chips} 10 x 1 by 04 budget 100 data 100
        fail t1@03
        buy-in t1@03
        clock 05
        settle 03         -> h03 short paid 0.00 fee 0.00 moving 10.00 refund 80.40 damages 18.00
    """)


def test_of_a_running_hour_old_and_cover_share_what_moved_the_data() -> None:
    """BB4: 4/12 of 120.00 is lost with the old obligation, 8/12 with its cover, which the buyer had paid once."""
    told("""
        offer P1 o1 g1 H800/L10/grid 60 @ 8.00 03-04
        offer P2 o2 g2 H800/L10/grid 60 @ 8.00 03-04 standby
        task B1 t1 H800 60 x 1 by 04 budget 700 data 1200
        clock 03:20
        fail t1@03
        buy-in t1@03
        clock 05
        settle 03         -> h03 short paid 0.00 fee 0.00 moving 120.00 refund 160.80 damages 56.00; h03 short paid 0.00 fee 0.00 refund 323.20 damages 112.00
    """)  # noqa: E501


def test_what_an_authority_ordered_to_stop_is_not_bought_in_on_the_seller() -> None:
    """BB6, decision 0020: he did as he was told, and said so; the buyer has his refund and the rise, no lambda."""
    told("""
        offer P1 o1 g1 H800/L10/grid 10 @ 8.00 03-04
        offer P2 o2 w1 H800/L5/grid 10 @ 11.00 03-04
        task B1 t1 H800 10 x 1 by 04 cap 9.00
        curtail region guian 03-04
        fail t1@03
        buy-in t1@03      -> buy-in none open 10
        clock 05
        settle 03         -> h03 short paid 0.00 fee 0.00 refund 80.40
        money P1 cash     -> 100000.00
    """)


def test_what_was_ordered_to_stop_still_goes_to_a_later_hour_at_once() -> None:
    """BB2: the first cure costs the seller nothing, and at settlement its hour would be gone."""
    told("""
        offer P1 o1 g1 H800/L10/grid 10 @ 8.00 03-04
        task B1 t1 H800 10 x 1 by 06 cap 9.00
        curtail site g1 03-04
        fail t1@03
        buy-in t1@03      -> h03 made_up paid 0.00 fee 0.00; made up 10 h04
    """)


def test_a_fix_that_comes_while_a_buy_in_waits_is_secured_when_it_ends() -> None:
    """HM5: 22.00 + 0.80 a card-hour; a seller whose hour failed was secured by what the old fix had asked for."""
    told("""
        offer P1 o1 g1 H800/L10/grid 64 @ 8.00 03-04
        task B1 t1 H800 64 x 1 by 04 cap 9.00
        fail t1@03
        buy-in t1@03
        fix H800/guian/L10/grid@03 30.00 A
        clock 02:55       -> buy-in gate open 64
        money P1 margin   -> 1459.20
    """)


def test_busting_a_part_of_a_bulk_task_leaves_the_moving_cost_with_the_other_parts() -> None:
    """The buyer got 10.00 back for data that the other part still needed, and 5.00 of it as damages besides."""
    told("""
        offer P1 o1 g1 H800/L10/grid 10 @ 8.00 03-05
        task B1 t1 H800 10 x 2 by 05 budget 400 data 100 bulk
        bust t1@03        -> busted 10 @ 8.00 h03
        money B1 escrow   -> 90.40
        clock 07
        settle 04         -> h04 short paid 0.00 fee 0.00 moving 10.00 refund 80.40 damages 18.00
    """)
