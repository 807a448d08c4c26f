"""Class tables of public data sets: names by the numbers in their label maps."""

VOC = dict(
    enumerate(
        "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant "
        "sheep sofa train tvmonitor".split(),
        start=1,
    )
)

CITYSCAPES_19 = dict(
    enumerate(
        (
            *("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign"),
            *("vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus", "train"),
            *("motorcycle", "bicycle"),
        )
    )
)  # numbers for training.  BDD100K has the same

CITYSCAPES_30 = dict(
    enumerate(
        (
            *("static", "dynamic", "ground", "road", "sidewalk", "parking", "rail track", "building", "wall", "fence"),
            *("guard rail", "bridge", "tunnel", "pole", "polegroup", "traffic light", "traffic sign", "vegetation"),
            *("terrain", "sky", "person", "rider", "car", "truck", "bus", "caravan", "trailer", "train"),
            *("motorcycle", "bicycle"),
        ),
        start=4,
    )
)  # ids

CAMVID = dict(
    enumerate(
        (
            *("Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car", "Pedestrian"),
            "Bicyclist",
        )
    )
)

KNOWN = {"camvid": CAMVID, "cityscapes19": CITYSCAPES_19, "cityscapes30": CITYSCAPES_30, "voc": VOC}
UNLABELED_CODES = {  # void, and VOC's background
    "camvid": (11,),
    "cityscapes19": (255,),
    "cityscapes30": (0, 1, 2, 3),
    "voc": (0, 255),
}
