"""What people in the example city say when they report a problem, by category of its rule book."""

from typing import Final

DESCRIPTIONS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "0101": (
        (
            "自来水井盖松动，车轮压过去咣当响",
            "The water manhole cover is loose and bangs whenever a car drives over it",
        ),
        (
            "井盖缺了一角，老人孩子容易踩空",
            "A corner of the manhole cover is missing, somebody will step into it",
        ),
    ),
    "0102": (
        ("雨水箅子被树叶堵死，一下雨就淹", "The storm drain is full of leaves and floods with every rain"),
        ("雨水箅子不见了，洞口没有围挡", "The drain grating is gone and the hole is not fenced off"),
    ),
    "0103": (
        (
            "路灯三天不亮了，晚上一片漆黑",
            "The street lamp has been out for three days, it is pitch dark at night",
        ),
        ("路灯一直闪，晃得楼上睡不着", "The street lamp keeps flickering and lights up our bedroom"),
        ("路灯杆被车撞歪，线露在外面", "A car bent the lamp post and wires are showing"),
    ),
    "0104": (
        ("消火栓漏水，地面结了一层水", "The fire hydrant leaks all over the pavement"),
        ("消火栓前面被人砌了花池，打不开", "Somebody built a flower box in front of the hydrant"),
    ),
    "0201": (
        ("限行标志牌被树枝挡住，看不见", "The traffic sign is hidden behind branches"),
        ("停车让行标志倒在地上", "The give-way sign lies on the ground"),
    ),
    "0202": (
        ("道路护栏被撞断一截，断头朝着车道", "A piece of the railing is broken off and points into the lane"),
        ("护栏移位，行人从中间穿马路", "The railing was moved aside, people now cross in the middle"),
    ),
    "0301": (
        ("公厕没有水，味道很大", "The public toilet has no water and smells badly"),
        ("公厕门锁坏了两个，关不上", "Two doors of the public toilet no longer lock"),
    ),
    "0302": (
        ("垃圾箱满了两天没人收", "The litter bin has been overflowing for two days"),
        ("果皮箱被烧坏了，箱体变形", "The litter bin was set on fire and is out of shape"),
    ),
    "0401": (
        ("行道树枯枝快掉下来了，下面是人行道", "A dead branch is about to fall on the pavement"),
        ("大风把树刮倒，压住了电动车", "The wind blew a tree over, e-bikes lie under it"),
    ),
    "0402": (
        ("花坛里的花都枯了，没人浇水", "Nobody waters the flower bed and everything has dried up"),
        ("绿地被踩出一条土路", "A dirt path has been trodden across the green"),
    ),
    "1101": (
        ("楼后堆了一堆装修垃圾，好几天了", "Renovation waste has been lying behind the house for days"),
        ("路边有暴露垃圾，苍蝇乱飞", "There is litter along the road, full of flies"),
        ("有人半夜在空地倒垃圾", "Somebody dumps rubbish on the empty lot at night"),
    ),
    "1102": (
        ("渣土车遗撒，整条路都是泥", "A lorry lost its load, the whole road is covered with mud"),
        ("早市散了以后满地菜叶", "After the morning market the street is covered with vegetable leaves"),
    ),
    "1103": (
        ("路口积水没过脚面，过不去", "Water stands ankle-deep at the crossing"),
        ("小区门口积水两天不退", "Water has stood at our gate for two days"),
    ),
    "1201": (
        ("电线杆上贴满开锁小广告", "The poles are plastered with locksmith adverts"),
        ("楼道里刚刷白又被贴了小广告", "The stairwell was just painted and is full of small ads again"),
    ),
    "1301": (
        (
            "工地半夜还在打桩，孩子没法睡",
            "The building site drives piles at midnight, the children cannot sleep",
        ),
        ("早上五点就开始切割，太吵", "They cut metal from five in the morning, it is far too loud"),
    ),
    "1401": (
        ("供水管爆了，水往地下车库灌", "A water pipe burst and runs into the underground car park"),
        ("路面冒水，水压一下子没了", "Water comes out of the road and our taps ran dry"),
    ),
    "1402": (
        ("路面塌了一个坑，能掉进一个轮子", "The road caved in, the hole would swallow a wheel"),
        ("人行道下沉，砖都裂开了", "The pavement has sunk and the bricks are cracked"),
    ),
    "1501": (
        ("烧烤摊占了整条人行道", "A barbecue stall takes up the whole pavement"),
        ("流动摊贩堵住小区门口，车出不来", "Hawkers block our gate, cars cannot get out"),
        ("水果车停在公交站，挡着上下车", "A fruit cart stands in the bus stop"),
    ),
    "1502": (
        (
            "车停在消防通道上，联系不上车主",
            "A car is parked in the fire lane and the owner cannot be reached",
        ),
        ("盲道上停了一排共享单车和汽车", "Cars and bikes are parked all along the tactile paving"),
        (
            "学校门口双排停车，孩子过马路危险",
            "Cars are double-parked at the school, children cannot cross safely",
        ),
    ),
    "1513": (
        ("黑车在路口拉客，一路按喇叭", "Unlicensed taxis tout for passengers at the crossing"),
        ("面包车冒充网约车载客", "A van without a licence carries passengers"),
    ),
    "1613": (
        (
            "独居老人两天没出门，敲门没人应",
            "The old man who lives alone has not been seen for two days and does not open",
        ),
        ("楼上老人没人照顾，做饭常忘关火", "Nobody looks after the old lady upstairs, she forgets the stove"),
    ),
    "1601": (
        ("暖气不热，屋里只有十四度", "The heating is barely warm, it is 14 degrees inside"),
        ("供暖管道漏水，楼下泡了", "The heating pipe leaks into the flat below"),
    ),
    "1602": (
        ("有人把电动车电池拿上楼充电", "Somebody charges e-bike batteries upstairs"),
        ("楼道里拉飞线给电动车充电", "An extension lead hangs out of a window to charge an e-bike"),
    ),
    "1603": (
        (
            "电梯坏了一周，物业不修",
            "The lift has been broken for a week and the property company does nothing",
        ),
        ("小区大门坏了，外人随便进", "The gate of our compound is broken, anybody can walk in"),
    ),
}
"""In Chinese and in English; a category that is not here is described by its own name."""

WEIGHTS: Final[dict[str, int]] = {
    "1101": 14, "1502": 14, "1501": 9, "1102": 8, "1603": 7, "0302": 6, "0103": 6, "1201": 5, "1301": 5,
    "1103": 4, "0401": 4, "1602": 3, "0301": 3, "1601": 2, "0102": 2, "0202": 2, "0201": 2,
}  # fmt: skip
"""How often a category is reported, compared to the others; 1 where nothing stands here."""

NOTES: Final = (
    "已处置，现场恢复",
    "已派人处理完毕",
    "已修复，附处置后照片",
    "Done, the place is in order again",
    "Repaired and checked on the spot",
)
"""What departments write when they report a case handled."""
