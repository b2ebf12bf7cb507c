"""What people, departments and places are called in simulated systems."""

from __future__ import annotations

SURNAMES = "王李张刘陈杨黄赵周吴徐孙马朱胡郭何林罗高"
GIVEN = (
    "伟",
    "芳",
    "秀英",
    "敏",
    "静",
    "丽",
    "强",
    "磊",
    "洋",
    "艳",
    "勇",
    "杰",
    "娟",
    "涛",
    "明",
    "超",
    "霞",
    "𠮷祥",
)
WORK = ("销售", "市场", "采购", "财务", "物流", "客服", "研发", "人事", "质检", "法务")
PLACES = ("华东", "华南", "华北", "西南", "海外")
CITIES = ("深圳", "杭州", "宁波", "义乌", "东莞", "苏州")
