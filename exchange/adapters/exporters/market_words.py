"""What the market report says, in English and in Chinese."""

LANGUAGES = ("en", "zh")

LABELS = {
    "title": ("Market report", "市场日报"),
    "quiet": (
        "A quiet day: nothing was traded, asked for, offered or delivered.",
        "当日市场平静:无成交、无需求、无报价、无交割。",
    ),
    "note": (
        "Trades count on the day they were made, tasks on the day they entered; fixes, capacity and deliveries on the day of "
        "delivery. Figures are rounded here; market-{day}.json has every digit.",
        "成交按成交日计,任务按提交日计;定盘价、算力与交割按交割日计。本页数字经四舍五入,完整数值见 market-{day}.json。",
    ),
    "trades": ("trades", "成交笔数"),
    "busted": ("trades undone", "撤销成交"),
    "card_hours": ("card-hours", "卡时"),
    "notional": ("value of trades, CNY", "成交金额(元)"),
    "utilization": ("utilization", "利用率"),
    "unfilled_demand": ("unfilled demand, card-hours", "未满足需求(卡时)"),
    "short": ("not delivered, card-hours", "未交付(卡时)"),
    "volume_by_hour": ("Volume by hour of trading, card-hours", "各时段成交量(卡时)"),
    "price_by_hour": ("Price by hour of trading, CNY per card-hour", "各时段成交价(元/卡时)"),
    "price_legend": ("line: VWAP; band: low to high", "折线:均价;色带:最低至最高"),
    "volume_by_region": ("Volume by region, card-hours", "各地区成交量(卡时)"),
    "utilization_by_region": ("Utilization by region: sold of offered, card-hours", "各地区利用率:已售/报价(卡时)"),
    "unfilled_by_reason": ("Unfilled demand by reason, card-hours", "未满足需求原因(卡时)"),
    "shortfalls": ("What was not delivered, card-hours", "未交付算力的处理(卡时)"),
    "no_trade": ("Nothing was traded on this day.", "当日无成交。"),
    "no_offer": ("No offered hour of this day has closed.", "当日无已截止的报价时段。"),
    "no_unfilled": ("Every task of this day was filled whole.", "当日任务全部成交。"),
    "no_task": ("No task entered on this day.", "当日无任务提交。"),
    "no_shortfall": ("Everything that was due on this day was delivered.", "当日应交付算力全部交付。"),
    "no_delivery": ("No delivery of this day has been settled.", "当日无已结算的交割。"),
    "no_fix": ("No fix was set for an hour of this day.", "当日各时段均无定盘价。"),
    "others": ("{count} others", "其余 {count} 项"),
    "made_up": ("made up in a later hour", "后续时段补足"),
    "bought_in": ("bought in elsewhere", "市场补购"),
    "in_cash": ("settled in cash", "现金结算"),
    "prices_by_chip": ("Prices by chip", "各芯片成交价"),
    "prices_by_region": ("Prices by region, all chips together", "各地区成交价(全部芯片)"),
    "fixes_by_chip": ("Fixes by chip and region: mean by the lots traded", "各芯片与地区定盘价(按成交量加权)"),
    "capacity_by_region": ("Capacity by region, card-hours", "各地区算力(卡时)"),
    "unfilled": ("Tasks not filled whole", "未完全成交的任务"),
    "deliveries": ("Deliveries and shortfalls", "交割与短缺"),
    "chip": ("chip", "芯片"),
    "region": ("region", "地区"),
    "vwap": ("VWAP", "均价"),
    "low": ("low", "最低"),
    "high": ("high", "最高"),
    "index": ("index", "指数"),
    "fixes": ("fixes", "定盘价数"),
    "grades": ("grades", "等级"),
    "attested": ("attested", "核定"),
    "offered": ("offered", "报价"),
    "sold": ("sold", "已售"),
    "unsold": ("left unsold", "未售出"),
    "taken_back": ("taken back", "撤回"),
    "reason": ("why", "原因"),
    "tasks": ("tasks", "任务数"),
    "tasks_filled": ("tasks filled whole", "完全成交任务"),
    "tasks_partly": ("tasks filled in part", "部分成交任务"),
    "tasks_unfilled": ("tasks not filled", "未成交任务"),
    "asked": ("asked for, card-hours", "需求(卡时)"),
    "bought": ("bought, card-hours", "买入(卡时)"),
    "obligations": ("deliveries settled", "已结算交割"),
    "card_hours_owed": ("card-hours owed", "应交付(卡时)"),
    "refund": ("refunded, CNY", "退款(元)"),
    "damages": ("damages, CNY", "违约赔付(元)"),
    "damages_cut": ("damages nobody could pay, CNY", "无法赔付的违约金(元)"),
    "buyers": ("buyers concerned", "受影响买方"),
    "buyers_made_whole": ("of these made whole", "其中已足额补偿"),
    "green": ("green share of deliveries", "绿电占比"),
    "figure": ("figure", "项目"),
    "value": ("value", "数值"),
    "page": ("page", "页"),
}

# of reasons that have words in projections.words
REASONS_CHINESE = {
    "NO_REACH": "时延、地区、等级与电力限制内无此类芯片出售",
    "NO_TIME": "截止时间前排不下所需时段或数据搬运",
    "NO_DEPTH": "没有站点在每个时段都有足够的卡",
    "OVER_BUDGET": "报价高于限价或预算",
    "CANCELED": "成交前已撤销",
    "EXPIRED": "已到期",
    "": "未说明",
    "NOT_CONFIGURED": "交易所尚未完成设置",
    "EXPIRED_COMMAND": "请求超过其自身时限",
    "KEY_REUSED": "同一客户编号曾用于不同内容",
    "INVALID_TEXT": "编号为空、过长或含非 ASCII 字符",
    "UNKNOWN_PARTICIPANT": "参与方未知",
    "UNKNOWN_CHIP": "目录中无此芯片",
    "UNKNOWN_REGION": "目录中无此地区",
    "DUPLICATE_ID": "同名任务正在等待",
    "INVALID_QTY": "卡数无效",
    "INVALID_WINDOW": "时段不在起止时间内或已过去",
    "INVALID_LATENCY": "时延限制无效",
    "INVALID_SHAPE": "不提供此类任务形态",
    "INVALID_LANE": "通道未知",
    "INVALID_BUDGET": "限价与预算缺失、重复或过大",
    "TOO_MANY_WAITING": "该企业或芯片等待的任务过多",
    "INSUFFICIENT_FUNDS": "买方可用资金不足",
    "TOO_MANY_KEYS": "该买方被记住的任务与订单编号过多",
}


def label(name: str, language: str, **parts: object) -> str:
    """A label in a language, its gaps filled."""
    text = LABELS[name][LANGUAGES.index(language)]
    return text.format(**parts) if parts else text


def reason_words(reason: str, in_words: str, language: str) -> str:
    """Why a task was not filled; `in_words` are the English ones, which an unknown reason keeps."""
    return in_words if language == "en" else REASONS_CHINESE.get(reason, in_words)
