"""Boxes from annotation files: Pascal VOC's XML, COCO's JSON, YOLO's text."""
