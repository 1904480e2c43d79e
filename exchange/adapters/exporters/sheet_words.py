"""What statements say, in English and in Chinese."""

LANGUAGES = ("en", "zh")

LABELS = {
    "title": ("Statement", "对账单"),
    "participant": ("participant", "参与方"),
    "day": ("day", "日期"),
    "zone": ("time zone", "时区"),
    "opening": ("opening balance", "期初余额"),
    "lines": ("sum of the lines", "明细合计"),
    "closing": ("closing balance", "期末余额"),
    "purse": ("purse", "分户"),
    "total": ("total", "合计"),
    "cash": ("free", "可用"),
    "held": ("held for tasks and orders", "任务与订单冻结"),
    "escrow": ("in escrow for bought hours", "已购算力托管"),
    "margin": ("margin", "保证金"),
    "bond": ("bond", "履约金"),
    "final": ("final", "已结账"),
    "open": ("the day is not over", "当日未结束"),
    "hash": ("hash", "校验值"),
    "previous": ("hash of the day before", "上一日校验值"),
    "confirmed": ("confirmed", "确认时间"),
    "unconfirmed": ("not confirmed", "未确认"),
    "time": ("time", "时间"),
    "what": ("what", "事项"),
    "counterparty": ("with", "对方"),
    "instrument": ("instrument", "合约"),
    "card_hours": ("card-hours", "卡时"),
    "price": ("price", "单价"),
    "amount": ("amount, CNY", "金额(元)"),
    "reference": ("reference", "备注"),
    "trade": ("trade", "成交号"),
    "line": ("line", "行号"),
    "none": ("no line: no money came or went", "当日无资金进出"),
    "page": ("page", "页"),
}

# kind of a line -> (as the payer, as the payee reads it); the English words come with the statement itself
_CHINESE = {
    "deposit": ("参与方入金", "入金"),
    "withdrawal": ("出金", "参与方出金"),
    "payout": ("算力费用,付给数据中心", "算力收入(扣除分成)"),
    "region share": ("地区分成", "地区分成"),
    "green share": ("绿电分成", "绿电分成"),
    "exchange_fee": ("交易手续费", "手续费收入"),
    "standby_fee": ("应急费,付给备用方", "应急费分成(备用)"),
    "moving_paid": ("数据搬运,付给网络", "数据搬运收入"),
    "moving_share": ("数据搬运分成", "数据搬运分成收入"),
    "damages": ("违约赔付", "收到违约赔付"),
    "buy_in_margin": ("补购保证金", "收到违约方补购保证金"),
    "buy_in_back": ("退还多余补购保证金", "补购保证金退回"),
}


def label(name: str, language: str) -> str:
    """A label in a language."""
    return LABELS[name][LANGUAGES.index(language)]


def line_words(kind: str, what: str, is_in: bool, language: str) -> str:
    """What a line is about; `what` are its English words."""
    if language == "en":
        return what
    key = next((name for name in ("region share", "green share") if what.startswith(name)), kind)
    return _CHINESE[key][is_in] if key in _CHINESE else what
