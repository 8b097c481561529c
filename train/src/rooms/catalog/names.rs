//! A class of ours in, its names in two public label sets out: to compare with detectors and scans that use those.

/// What a class is called elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassNames {
    /// Ours, as in `CLASS_NAMES`.
    pub name: &'static str,
    /// Name and number (1 to 40) in NYU40, spelled as there; `None` where NYU40 has no class for it alone.
    pub nyu40: Option<(&'static str, u8)>,
    /// Name in COCO's 80 classes.
    pub coco: Option<&'static str>,
}

const fn names(name: &'static str, nyu40: Option<(&'static str, u8)>, coco: Option<&'static str>) -> ClassNames {
    ClassNames { name, nyu40, coco }
}

/// NYU40: Gupta, Arbelaez, Malik, "Perceptual organization and recognition of indoor scenes from RGB-D images", CVPR 2013, numbered
/// as ScanNet's label file does. COCO: Lin et al., "Microsoft COCO: common objects in context", ECCV 2014.
const NAMES: [ClassNames; 42] = [
    names("bed", Some(("bed", 4)), Some("bed")),
    names("sofa", Some(("sofa", 6)), Some("couch")),
    names("bookshelf", Some(("bookshelf", 10)), None),
    // the label set itself has the `d`
    names("refrigerator", Some(("refridgerator", 24)), Some("refrigerator")),
    names("cabinet", Some(("cabinet", 3)), None),
    names("dresser", Some(("dresser", 17)), None),
    names("desk", Some(("desk", 14)), None),
    names("night stand", Some(("night stand", 32)), None),
    names("table", Some(("table", 7)), Some("dining table")),
    names("chair", Some(("chair", 5)), Some("chair")),
    names("garbage bin", None, None),
    names("box", Some(("box", 29)), None),
    names("lamp", Some(("lamp", 35)), None),
    names("monitor", None, None),
    names("television", Some(("television", 25)), Some("tv")),
    names("books", Some(("books", 23)), Some("book")),
    names("bag", Some(("bag", 37)), Some("handbag")),
    names("pillow", Some(("pillow", 18)), None),
    names("counter", Some(("counter", 12)), None),
    names("toilet", Some(("toilet", 33)), Some("toilet")),
    names("sink", Some(("sink", 34)), Some("sink")),
    names("bathtub", Some(("bathtub", 36)), None),
    names("clothes rack", None, None),
    names("stool", None, None),
    names("ottoman", None, None),
    names("bench", None, Some("bench")),
    names("potted plant", None, Some("potted plant")),
    names("floor mat", Some(("floor mat", 20)), None),
    names("laptop", None, Some("laptop")),
    names("keyboard", None, Some("keyboard")),
    names("microwave", None, Some("microwave")),
    names("vase", None, Some("vase")),
    names("teddy bear", None, Some("teddy bear")),
    names("suitcase", None, Some("suitcase")),
    names("backpack", None, Some("backpack")),
    names("door", Some(("door", 8)), None),
    names("window", Some(("window", 9)), None),
    names("curtain", Some(("curtain", 16)), None),
    names("picture", Some(("picture", 11)), None),
    names("mirror", Some(("mirror", 19)), None),
    names("whiteboard", Some(("whiteboard", 30)), None),
    names("clock", None, Some("clock")),
];

/// The class called `name` here, with its names elsewhere.
pub fn class_names(name: &str) -> Option<ClassNames> {
    NAMES.iter().find(|n| n.name == name).copied()
}

#[cfg(test)]
mod tests {
    use super::super::CLASS_NAMES;
    use super::*;
    use std::collections::BTreeSet;

    /// NYU40 in its order, from 1.
    const NYU40: &str = "wall,floor,cabinet,bed,chair,sofa,table,door,window,bookshelf,picture,counter,blinds,desk,shelves,\
        curtain,dresser,pillow,mirror,floor mat,clothes,ceiling,books,refridgerator,television,paper,towel,shower curtain,box,\
        whiteboard,person,night stand,toilet,sink,lamp,bathtub,bag,otherstructure,otherfurniture,otherprop";
    /// COCO's 80 classes in their order.
    const COCO: &str = "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,\
        parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,\
        frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,\
        wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,\
        potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,\
        refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush";

    #[test]
    fn names_are_those_of_the_label_sets_and_none_is_there_twice() {
        let nyu40: Vec<&str> = NYU40.split(',').map(str::trim).collect();
        let coco: Vec<&str> = COCO.split(',').map(str::trim).collect();
        assert_eq!((nyu40.len(), coco.len()), (40, 80));
        assert_eq!(NAMES.map(|n| n.name), CLASS_NAMES);
        let (mut ids, mut others) = (BTreeSet::new(), BTreeSet::new());
        for n in NAMES {
            assert_eq!(class_names(n.name), Some(n));
            if let Some((name, id)) = n.nyu40 {
                assert!(nyu40[usize::from(id) - 1] == name && ids.insert(id), "{}", n.name);
            }
            if let Some(name) = n.coco {
                assert!(coco.contains(&name) && others.insert(name), "{}", n.name);
            }
        }
        assert_eq!(CLASS_NAMES.iter().collect::<BTreeSet<_>>().len(), CLASS_NAMES.len());
        assert_eq!(class_names("unicorn"), None);
    }
}
